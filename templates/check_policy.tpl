# What monitoring expects of this jail.
#
# Hours since the last connection after which `bkctld check-jails` warns, and
# after which it is critical; 0 turns a level off. Without a value here the
# one of /etc/default/bkctld holds.
#
#WARNING=24
#CRITICAL=48
#
# OFF: the jail may be stopped without `bkctld check-setup` complaining.
#
EXPECTED_STATE=ON
