# shellcheck shell=sh disable=SC2016,SC2154
# Sourced by .ci/systemd: jails that the original still runs, as containers of systemd-nspawn or in a
# chroot, are taken over; and the steps of docs/migration.md.

cp "$checkout/crates/bkctld/tests/e2e/support/original.sh" "$tree/root/original"
cat >>"$tree/root/helpers" <<'HELPERS'
. /root/original
jails=/backup/jails
# The original serves IPv4 only. Host keys are known before, and must not change.
old_client() { client "$1" -4 -o StrictHostKeyChecking=yes root@localhost "$2"; }
old_answers() { [ "$(old_client "$1" "echo hello")" = hello ]; }
know() {
    cp /root/client_key.pub "$1/root/.ssh/authorized_keys"
    for key in "$1"/etc/ssh/ssh_host_*_key.pub; do
        echo "[localhost]:$2 $(cut -d ' ' -f 1,2 "$key")"
    done >>/root/known_hosts
}
policy() {
    mkdir -p "/etc/evobackup/$1.d"
    printf '+%%Y-%%m-%%d.-0day\n' >"/etc/evobackup/$1.d/incs_policy"
}
# container_jail NAME PORT: a jail of the second format that the original made and runs.
container_jail() {
    original_v2 "$jails/$1" "$2"
    original_container "$1" "$jails/$1"
    know "$jails/$1/rootfs" "$2"
    policy "$1"
    systemctl start "systemd-nspawn@$1"
    within 30 old_answers "$2"
}
# chroot_jail NAME PORT: one of the first format.
chroot_jail() {
    original_v1 "$jails/$1" "$2"
    know "$jails/$1" "$2"
    printf '+%%Y-%%m-%%d.-0day\n' >"/etc/evobackup/$1"
    original_v1_start "$jails/$1"
    within 30 old_answers "$2"
}
container() { systemctl is-active --quiet "systemd-nspawn@$1"; }
served_by() { bkctld --json status "$1" 2>/dev/null | sed -n 's/.*"served_by":"\([^"]*\)".*/\1/p'; }
ours() {
    on "$1"
    ! container "$1" || fail "the container runs"
    [ "$(served_by "$1")" = bkctld ] || fail "served by $(served_by "$1")"
}
the_originals() {
    bkctld is-on "$1" || fail "is-on says off"
    bkctld --no-header status "$1" | grep -q ' ON ' || fail "status says off"
    [ "$(served_by "$1")" = systemd-nspawn ] || fail "served by $(served_by "$1")"
    container "$1" || fail "no container runs"
}
nothing_left() {
    [ ! -e "/etc/systemd/nspawn/$1.nspawn" ] || fail "its settings are left"
    [ ! -L "/var/lib/machines/$1" ] || fail "its link is left"
    [ "$(systemctl show --value --property UnitFileState "systemd-nspawn@$1")" != enabled ] || fail "it starts at boot"
    [ -z "$(systemctl list-units --all --no-legend --plain "systemd-nspawn@$1*" | grep failed)" ] || fail "a failed unit"
}
HELPERS

check "a jail that the original runs as a container is on, and who serves it is told" inside '
    container_jail old01 2601
    the_originals old01'
check "its start that fails says why, and the original serves it again" inside '
    file=$jails/old01/rootfs/etc/ssh/sshd_config
    cp -p $file /root/good01
    sed -i "s/^AllowUsers.*/AllowUsers root@127.*/" $file
    refuses 40 "systemd-nspawn@old01.service serves it again" bkctld start old01
    cp -p /root/good01 $file
    within 30 old_answers 2601
    the_originals old01'
check "a changed port reaches the sshd in the container, and sessions go on" inside '
    mkfifo /root/in01
    client 2601 -4 root@localhost cat </root/in01 >/root/out01 & session=$!
    exec 9>/root/in01
    echo before >&9
    within 10 grep -q before /root/out01
    bkctld port old01 2611
    know "$jails/old01/rootfs" 2611
    within 10 old_answers 2611
    echo after >&9
    within 10 grep -q after /root/out01
    exec 9>&-
    wait $session
    the_originals old01
    bkctld port old01 2601
    within 10 old_answers 2601'
check "stop stops the container, and nothing else starts it" inside '
    bkctld stop old01
    off old01
    ! container old01 || fail "it runs"
    ! old_answers 2601 || fail "it answers"
    systemctl start systemd-nspawn@old01
    within 30 old_answers 2601
    the_originals old01'
check "start takes the port over, with the host keys that the client knows" inside '
    bkctld start old01
    ours old01
    old_answers 2601
    [ "$(old_client 2601 "cat /var/backup/home/notes")" = notes ] || fail "other data"
    bkctld start old01'
check "before an update, the original can have it back as it is" inside '
    bkctld stop old01
    systemctl start systemd-nspawn@old01
    within 30 old_answers 2601
    the_originals old01'
check "restart takes it over, too" inside '
    bkctld restart old01
    ours old01
    old_answers 2601'
check "update takes over what runs, and clears what the original left; the data stays" inside '
    bkctld stop old01
    systemctl start systemd-nspawn@old01
    systemctl enable --quiet systemd-nspawn@old01
    within 30 old_answers 2601
    state() { find $jails/old01/data $jails/old01/rootfs/etc/ssh $jails/old01/rootfs/root -printf "%p %i %m %T@ %s\n" | sort; }
    state >/root/before01
    bkctld -n update old01 | grep "/var/lib/machines/old01"
    bkctld update old01
    ours old01
    old_answers 2601
    nothing_left old01
    state | cmp - /root/before01 || fail "something in the jail changed"
    bkctld update old01
    ours old01'
check "a jail that is off stays off at its update" inside '
    container_jail old02 2602
    kill -KILL "$(systemctl show --value --property MainPID systemd-nspawn@old02)"
    within 20 sh -c "! systemctl is-active --quiet systemd-nspawn@old02"
    within 20 sh -c "! ss -ltn | grep -q :2602"
    # systemd may still be at it: such a jail is off, too.
    off old02
    bkctld update old02
    off old02
    nothing_left old02
    ! container old02 || fail "it runs"'
check "a machine of the same name that is another one is left alone" inside '
    mkdir /var/lib/machines/old02
    echo kept >/var/lib/machines/old02/file
    printf "[Exec]\nBoot=no\n" >/etc/systemd/nspawn/old02.nspawn
    bkctld update old02
    [ "$(cat /var/lib/machines/old02/file)" = kept ]
    [ -e /etc/systemd/nspawn/old02.nspawn ]
    rm -r /var/lib/machines/old02 /etc/systemd/nspawn/old02.nspawn'
check "after its own update the original serves it again, with the same host keys" inside '
    bkctld stop old01
    original_update old01 $jails/old01
    systemctl start systemd-nspawn@old01
    within 30 old_answers 2601
    the_originals old01
    [ "$(old_client 2601 "cat /var/backup/home/notes")" = notes ] || fail "other data"'
check "and one that bkctld made" inside '
    bkctld init new01
    bkctld port new01 2603
    bkctld key new01 /root/client_key.pub
    know "$jails/new01/rootfs" 2603
    original_update new01 $jails/new01
    systemctl start systemd-nspawn@new01
    within 30 old_answers 2603
    the_originals new01
    old_client 2603 "echo x >/var/backup/pushed"
    [ -e $jails/new01/data/pushed ]'
check "rename and archive of a jail that the original runs leave nothing of its container" inside '
    container_jail old03 2604
    bkctld rename old03 old04
    ours old04
    nothing_left old03
    old_answers 2604
    container_jail old05 2605
    bkctld --force archive old05
    nothing_left old05
    ! container old05 || fail "it runs"
    [ -e /backup/archives/old05/data/home/notes ]'
check "remove deletes a jail that the original runs, its container included" inside '
    bkctld --force remove new01
    nothing_left new01
    ! container new01 || fail "it runs"
    bkctld --force remove all
    nothing_left old01'

# Every step of the page, in its order, on a server with a jail of each sort.
steps=$(awk '/^```console$/ { step++; inside = 1; next } /^```$/ { inside = 0 } inside { print > dir "/step" step } END { print step }' \
    dir="$tree/root" "$checkout/docs/migration.md")
check "a server as the steps find it" inside '
    container_jail web01 2701
    container_jail web02 2702
    chroot_jail web03 2703
    rm -r /etc/evobackup/web01.d
    printf "+%%Y-%%m-%%d.-0day\n" >/etc/evobackup/web01'
step=0
while [ "$step" -lt "${steps:-0}" ]; do
    step=$((step + 1))
    check "docs/migration.md: $(head -n 1 "$tree/root/step$step")" inside "
        . /root/step$step
        for port in 2701 2702 2703; do
            if grep -q 'stop all' /root/step$step; then ! old_answers \$port || fail 'it answers'
            else old_answers \$port; fi
        done"
done
check "after the steps nothing of the original is left, and its own update brings it back" inside '
    [ '"$step"' -ge 9 ] || fail "only '"$step"' steps"
    for jail in web01 web02 web03; do
        off $jail
        nothing_left $jail
        [ "$(bkctld jail-version $jail)" = 2 ] || fail "another version"
        [ -L /etc/evobackup/$jail ] || fail "no link for the policy of $jail"
        original_update $jail $jails/$jail
        systemctl start systemd-nspawn@$jail
    done
    for port in 2701 2702 2703; do within 30 old_answers $port; done
    for jail in web01 web02 web03; do the_originals $jail; done
    bkctld start all
    for jail in web01 web02 web03; do ours $jail; done
    for port in 2701 2702 2703; do old_answers $port; done'
