# What monitoring expects of this jail.
#
# Hours since the last connection after which `bkctld check-jails` warns, and
# after which it is critical; 0 turns a level off. Without a value here the
# one of /etc/default/bkctld holds.
#
#WARNING=24
#CRITICAL=48
#
# OFF: the jail is out of service. A boot, `bkctld start all` and `restart all`
# leave it out, and `bkctld check-setup` does not complain when it is off.
#
EXPECTED_STATE=ON
