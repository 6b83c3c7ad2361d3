# What monitoring expects of this jail.
#
# Hours since the last login of the client after which `bkctld check-jails`
# warns, and after which it is critical; 0 turns a level off. The defaults are
# the values in /etc/default/bkctld.
#
#WARNING=24
#CRITICAL=48
#
# OFF: the jail is out of service. A boot, `bkctld start all` and `restart all`
# skip it, and `bkctld check-setup` does not report that it is off.
#
EXPECTED_STATE=ON
