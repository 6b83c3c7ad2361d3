# Which incs of this jail `bkctld rm` keeps; it deletes the others.
#
# A rule keeps all incs of one day: a date made from today's, then how far to
# go back from it. The day reached is worked out as GNU date does.
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
