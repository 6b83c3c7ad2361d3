# Which incs of this jail `bkctld rm` keeps; it deletes the others.
#
# Each line is a rule that keeps all incs of one day: a date derived from
# today's, then how far to go back from it, calculated as by GNU date.
#
#   +%Y-%m-%d.-2day      the day before yesterday
#   +%Y-%m-01.-1month    the first of last month
#   +%Y-01-01.-1year     the first of January of last year
#
# `bkctld rm --dry-run` shows each inc with the rule that keeps it.
#
+%Y-%m-%d.-0day
+%Y-%m-%d.-1day
+%Y-%m-%d.-2day
+%Y-%m-%d.-3day
+%Y-%m-01.-0month
+%Y-%m-01.-1month
