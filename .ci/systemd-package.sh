# shellcheck shell=sh disable=SC2016,SC2154 # scripts for inside; what .ci/systemd has set
# Sourced by .ci/systemd: the Debian package where systemd is init. What was there of the program is gone
# before; nothing is left after.

"$checkout/package.sh" --debug "$work/packages" >"$output" 2>&1 || { cat "$output"; exit 1; }
cp "$work"/packages/bkctld_*.deb "$tree/root/bkctld.deb"

# A package as the original's, of which only the files matter here.
original=$work/original
mkdir -p "$original/DEBIAN" "$original/usr/sbin" "$original/usr/lib/bkctld" "$original/usr/share/bash_completion" \
    "$original/usr/share/munin/plugins" "$original/etc/default" "$original/lib/systemd/system"
cat >"$original/DEBIAN/control" <<'CONTROL'
Package: bkctld
Version: 25.06-1
Architecture: all
Maintainer: nobody <nobody@bkctld.example>
Description: stands for the shell program
CONTROL
echo /etc/default/bkctld >"$original/DEBIAN/conffiles"
printf '#!/bin/sh\necho "the original: $*"\n' >"$original/usr/sbin/bkctld"
chmod 755 "$original/usr/sbin/bkctld"
cp "$original/usr/sbin/bkctld" "$original/usr/lib/bkctld/bkctld-inc"
cp "$original/usr/sbin/bkctld" "$original/usr/lib/bkctld/bkctld-glacier"
for graph in incs jails ops rsyncs; do
    cp "$original/usr/sbin/bkctld" "$original/usr/share/munin/plugins/bkctld_$graph"
done
echo "VERSION=25.06" >"$original/usr/lib/bkctld/includes"
echo "complete bkctld" >"$original/usr/share/bash_completion/bkctld"
echo "#WARNING=48" >"$original/etc/default/bkctld"
printf '[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart=/usr/sbin/bkctld start all\n[Install]\nWantedBy=multi-user.target\n' \
    >"$original/lib/systemd/system/bkctld.service"
dpkg-deb --root-owner-group --build "$original" "$tree/root/original.deb" >"$output"

# One of ours from when its configuration was a conffile.
earlier=$work/earlier
dpkg-deb --raw-extract "$tree/root/bkctld.deb" "$earlier"
sed -i 's/^Version: .*/Version: 26.11.0-0/' "$earlier/DEBIAN/control"
sed -i "s,put_once /usr.*,:," "$earlier/DEBIAN/postinst"
sed -i '/^        rm -f \/etc\/default/d' "$earlier/DEBIAN/postrm"
mkdir -p "$earlier/etc/default" "$earlier/etc/munin/plugin-conf.d"
mv "$earlier/usr/share/bkctld/default" "$earlier/etc/default/bkctld"
mv "$earlier/usr/share/bkctld/munin.conf" "$earlier/etc/munin/plugin-conf.d/bkctld"
printf '%s\n' /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld >"$earlier/DEBIAN/conffiles"
dpkg-deb --root-owner-group --build "$earlier" "$tree/root/earlier.deb" >"$output"

cat >>"$tree/root/helpers" <<'HELPERS'
export DEBIAN_FRONTEND=noninteractive
is() { [ "$1" = "$2" ] || fail "'$1' and not '$2'${3:+: $3}"; }
enabled() { is "$(systemctl is-enabled "$1" || true)" "$2" "$1"; }
active() { is "$(systemctl is-active "$1" || true)" "$2" "$1"; }
no_failed_unit() {
    found=$(systemctl list-units --failed --no-legend --plain "bkctld*")
    [ -z "$found" ] || { systemctl status "bkctld*" || true; fail "failed: $found"; }
}
# hold PORT: a session that answers what is written to descriptor 9.
hold() {
    rm -f /root/in
    mkfifo /root/in
    client "$1" root@localhost cat </root/in >/root/out & session=$!
    exec 9>/root/in
    held one
}
held() { echo "$1" >&9; within 10 grep -q "$1" /root/out; }
release() { exec 9>&-; wait "$session"; }
installed() { is "$(dpkg-query --show --showformat "\${Status}" bkctld)" "install ok installed"; }
HELPERS

check "package: what was there of the program is gone" inside '
    bkctld --force remove all || bkctld stop all
    no_process
    rm -f /usr/sbin/bkctld /usr/bin/bkctld "/usr/lib/systemd/system/bkctld@.service"
    rm -rf /backup /etc/evobackup /var/lib/bkctld /run/bkctld /run/lock/bkctld /root/known_hosts
    systemctl daemon-reload'
check "package: installs on a server that has no jail, and starts none" inside '
    dpkg -i /root/bkctld.deb
    enabled bkctld.service enabled
    for timer in bkctld-inc.timer bkctld-check-setup.timer bkctld-metrics.timer bkctld-stats.timer; do
        enabled "$timer" enabled
        active "$timer" active
    done
    no_failed_unit
    ! journalctl --quiet _PID=1 | grep -i "bkctld.*\(unknown\|ignor\|obsolete\|failed to parse\)"'
check "package: entry points, man pages, completions, templates and the configuration are there" inside '
    mkdir -p /backup/jails /backup/incs
    bkctld init web01
    is "$(/usr/lib/bkctld/bkctld-list)" web01
    (. /usr/lib/bkctld/includes; is "$JAILDIR" /backup/jails; [ -n "$VERSION" ])
    for file in usr/share/bkctld/sshd_config etc/default/bkctld usr/share/man/man8/bkctld.8.gz \
        usr/share/bash-completion/completions/bkctld usr/share/zsh/vendor-completions/_bkctld \
        usr/share/fish/vendor_completions.d/bkctld.fish; do
        # The container may leave documentation out when it installs.
        [ -s "/$file" ] || dpkg -L bkctld | grep -x "/$file"
    done
    bash --norc -euc "
        source /usr/share/bash-completion/completions/bkctld
        COMP_WORDS=(bkctld start w) COMP_CWORD=2 COMP_TYPE=9
        _clap_complete_bkctld bkctld w start
        [ \"\${COMPREPLY[*]}\" = web01 ]"'
check "package: a jail is started by the installed unit" inside '
    bkctld key web01 /root/client_key.pub
    bkctld start web01
    on web01
    answers 2222
    is "$(readlink "/proc/$(property web01 MainPID)/exe")" /usr/sbin/bkctld'
check "package: journal and log of the jail agree, and status shows the port" inside '
    systemctl status bkctld@web01 | grep "listening on port 2222"
    client 2222 root@localhost true
    agree() {
        journalctl --quiet --unit bkctld@web01 -o cat | sed -n "s/.*Accepted/Accepted/p" | tail -n 2 >/root/journal
        bkctld log web01 | sed -n "s/.*Accepted/Accepted/p" | head -n 2 | tac | cmp - /root/journal
    }
    within 10 agree
    is "$(grep -c "Accepted publickey for root" /root/journal)" 2'
start_again() {
    # systemctl poweroff would look for logind.
    inside 'systemctl --no-block start poweroff.target'
    wait "$nspawn" || true
    boot
    wait_for_init
}
check "package: the table of nftables is asked for" inside '
    echo FIREWALL=nftables >>/etc/default/bkctld
    systemctl enable nftables'
check "package: a jail that is to be off" inside '
    bkctld init off01
    sed -i "s/^EXPECTED_STATE=ON/EXPECTED_STATE=OFF/" /etc/evobackup/off01.d/check_policy
    bkctld check-setup | grep "all jails are in their expected state"'
check "package: the machine starts again" start_again
check "package: the jail is on after the boot, and the one that is to be off is off" inside '
    within 60 bkctld is-on web01
    on web01
    answers 2222
    is "$(stat -c %a /run/bkctld)" 700
    within 60 sh -c "systemctl is-active bkctld.service | grep -x active"
    off off01
    bkctld --force remove off01
    active bkctld-inc.timer active
    no_failed_unit'
check "package: the table is there after the boot, beside that of nftables itself" inside '
    active nftables.service active
    within 60 sh -c "nft list table inet bkctld | grep -q 2222"
    nft list table inet filter
    active bkctld-firewall.service active
    no_failed_unit
    sed -i "/^FIREWALL=nftables/d" /etc/default/bkctld
    systemctl disable --now nftables
    systemctl restart bkctld-firewall
    active bkctld-firewall.service inactive'
check "package: the timer makes an inc and deletes what is too old" inside '
    mkdir -p /backup/incs/web01/2020-03-05-02 "/run/systemd/system/bkctld-inc.timer.d"
    printf "[Timer]\nOnCalendar=\nOnActiveSec=1s\nAccuracySec=100ms\n" >/run/systemd/system/bkctld-inc.timer.d/now.conf
    systemctl daemon-reload
    systemctl restart bkctld-inc.timer
    within 30 sh -c "! [ -e /backup/incs/web01/2020-03-05-02 ]"
    ls -d /backup/incs/web01/20*
    [ -d "$(ls -d /backup/incs/web01/20*)/data" ] || fail "no inc"
    within 30 sh -c "systemctl show -p ActiveState bkctld-inc.service | grep -q =inactive"
    is "$(systemctl show --value -p Result bkctld-inc.service)" success
    rm -r /run/systemd/system/bkctld-inc.timer.d
    systemctl daemon-reload
    systemctl restart bkctld-inc.timer'
check "package: the check of the server says what is wrong, and nothing when nothing is" inside '
    active bkctld-check-setup.timer active
    bkctld check-setup || true
    mv /backup /backup.away
    ! systemctl start bkctld-check-setup.service || fail "it has not failed"
    journalctl --quiet --unit bkctld-check-setup -o cat | grep -q CRITICAL
    mv /backup.away /backup
    systemctl reset-failed bkctld-check-setup.service'
check "package: numbers for Prometheus are written where its node exporter reads them" inside '
    systemctl start bkctld-metrics.service
    ! [ -e /var/lib/prometheus ] || fail "made a place that nobody reads"
    mkdir -p /var/lib/prometheus/node-exporter
    systemctl start bkctld-stats.service
    systemctl start bkctld-metrics.service || true
    grep -x "bkctld_jails 1" /var/lib/prometheus/node-exporter/bkctld.prom
    rm -r /var/lib/prometheus
    systemctl reset-failed "bkctld-metrics*" || true'
check "package: a cron job that does it, and came later, stays in charge" inside '
    mkdir -p /backup/incs/web01/2020-03-05-02
    echo "30 11 * * * root /usr/sbin/bkctld inc && /usr/sbin/bkctld rm" >/etc/cron.d/bkctld
    systemctl start bkctld-inc.service || true
    [ -e /backup/incs/web01/2020-03-05-02 ] || fail "the timer has run beside cron"
    no_failed_unit
    rm /etc/cron.d/bkctld
    systemctl start bkctld-inc.service
    ! [ -e /backup/incs/web01/2020-03-05-02 ] || fail "the timer has not run"'
check "package: an upgrade ends no session, and the listener becomes the new program after it" inside '
    hold 2222
    main=$(property web01 MainPID)
    dpkg -i /root/bkctld.deb
    held two
    [ "/proc/$main/exe" -ef /usr/sbin/bkctld ] && fail "the listener was exchanged under its session"
    answers 2222
    release
    within 10 test "/proc/$main/exe" -ef /usr/sbin/bkctld
    within 10 bkctld is-on web01
    is "$(property web01 MainPID)" "$main"
    answers 2222
    on web01
    no_failed_unit'
check "package: an upgrade leaves off what the administrator has disabled or stopped" inside '
    systemctl disable --now --quiet bkctld-inc.timer
    bkctld stop web01
    dpkg -i /root/bkctld.deb
    enabled bkctld-inc.timer disabled
    active bkctld-inc.timer inactive
    off web01
    systemctl enable --now --quiet bkctld-inc.timer
    bkctld start web01'
check "package: sessions get the new rsync when its package is upgraded" inside '
    before=$(readlink /var/lib/bkctld/runtime/current)
    cp -p /usr/bin/rsync /root/rsync
    echo >>/usr/bin/rsync
    dpkg-trigger --by-package=rsync /usr/bin/rsync
    dpkg --triggers-only -a
    [ "$(readlink /var/lib/bkctld/runtime/current)" != "$before" ] || fail "the same programs"
    cp -p /root/rsync /usr/bin/rsync
    answers 2222'
check "package: nftables is started, restarted and reloaded, and the jails have their table again" inside '
    ! nft list tables | grep bkctld || fail "rules without FIREWALL"
    systemctl start nftables
    ! nft list tables | grep bkctld || fail "rules without FIREWALL once nftables has started"
    # Its unit is not active: FIREWALL was not set when it was started.
    echo FIREWALL=nftables >>/etc/default/bkctld
    for how in reload restart reload restart reload stop start reload; do
        nft flush ruleset
        systemctl $how nftables
        [ "$how" = stop ] || within 10 sh -c "nft list table inet bkctld | grep -q 2222"
    done
    bkctld ip web01 127.0.0.1
    answers 2222
    no_failed_unit
    sed -i "/^FIREWALL=nftables/d" /etc/default/bkctld
    systemctl stop nftables
    bkctld ip web01 all'
check "package: its removal stops the jails and keeps everything" inside '
    dpkg --remove bkctld
    no_process
    [ -d /backup/jails/web01/data ] && [ -d /backup/incs/web01 ] && [ -d /etc/evobackup/web01.d ] || fail "data is gone"
    [ -f /etc/default/bkctld ] && [ -d /var/lib/bkctld ] || fail "configuration is gone"
    ! systemctl cat bkctld-inc.timer || fail "a unit is left"'
check "package: installed again, it starts the jails" inside '
    dpkg -i /root/bkctld.deb
    within 30 bkctld is-on web01
    on web01
    answers 2222'
check "package: its purge keeps jails, incs and policies, and nothing else, even where the configuration is broken" inside '
    on web01
    echo "this is no assignment" >>/etc/default/bkctld
    dpkg --purge bkctld
    no_process
    [ -d /backup/jails/web01/data ] && [ -d /backup/incs/web01 ] && [ -f /etc/evobackup/web01.d/incs_policy ] || fail "data is gone"
    for gone in /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld /var/lib/bkctld /usr/lib/bkctld /usr/share/bkctld /run/bkctld /run/lock/bkctld; do
        [ ! -e "$gone" ] || fail "$gone is left"
    done
    [ ! -e /etc/munin ] || fail "Munin'"'"'s directory is left"
    found=$(find /etc/systemd /var/lib/systemd -name "*bkctld*")
    is "$found" "" "left"'
check "package: it replaces the original; its cron job and its configuration stay, and nothing is asked" inside '
    dpkg -i /root/original.deb
    ln -sf /lib/systemd/system/bkctld.service /etc/systemd/system/multi-user.target.wants/
    systemctl daemon-reload
    echo "WARNING=36" >>/etc/default/bkctld
    cp /etc/default/bkctld /root/default
    echo "30 11 * * * root /usr/sbin/bkctld inc && /usr/sbin/bkctld rm" >/etc/cron.d/bkctld
    # As its instructions for Munin have them.
    mkdir -p /etc/munin/plugins /etc/munin/plugin-conf.d
    for graph in incs jails ops rsyncs; do ln -s /usr/share/munin/plugins/bkctld_$graph /etc/munin/plugins/; done
    ln -sfn /root/default /etc/munin/plugins/bkctld_ops
    printf "[bkctld_*]\n    user root\n" >/etc/munin/plugin-conf.d/bkctld
    cp /etc/munin/plugin-conf.d/bkctld /root/munin.conf
    dpkg -i /root/bkctld.deb
    installed
    cmp /root/default /etc/default/bkctld
    cmp /root/munin.conf /etc/munin/plugin-conf.d/bkctld
    enabled bkctld-inc.timer disabled
    active bkctld-inc.timer inactive
    enabled bkctld.service enabled
    is "$(bkctld list)" web01
    # Which the scripts of that package had stopped.
    on web01
    [ -L /usr/lib/bkctld/bkctld-inc ] && [ ! -e /usr/lib/bkctld/bkctld-glacier ] || fail "files of the original"
    [ ! -e /usr/share/bash_completion/bkctld ] || fail "the old completion"
    answers 2222'
check "package: links of Munin that the original needed lead to our plugin; other ones are as they were" inside '
    is "$(/etc/munin/plugins/bkctld_jails | grep "^jails.value")" "jails.value 1"
    for graph in incs rsyncs; do /etc/munin/plugins/bkctld_$graph | grep "value [0-9]"; done
    is "$(readlink /etc/munin/plugins/bkctld_ops)" /root/default'
check "package: the original takes its place again, and nothing of ours runs or is enabled" inside '
    on web01
    bkctld stats
    [ -e /var/lib/bkctld/sizes ] || fail "no sizes"
    cp /usr/share/bkctld/munin.conf /etc/munin/plugin-conf.d/bkctld
    dpkg -i /root/original.deb
    installed
    is "$(bkctld inc)" "the original: inc"
    no_process
    cmp /root/default /etc/default/bkctld
    for graph in incs jails rsyncs; do is "$(/etc/munin/plugins/bkctld_$graph)" "the original: "; done
    for gone in /var/lib/bkctld/sizes /etc/munin/plugin-conf.d/bkctld; do [ ! -e "$gone" ] || fail "$gone is left"; done
    systemctl daemon-reload
    is "$(systemctl list-units --all --no-legend --plain "bkctld-*" "bkctld@*")" ""
    is "$(find /etc/systemd/system -name "*bkctld*" -printf "%f ")" "bkctld.service "
    dpkg -i /root/bkctld.deb
    cmp /root/default /etc/default/bkctld
    enabled bkctld-inc.timer disabled
    enabled bkctld-check-setup.timer enabled
    active bkctld-check-setup.timer active
    on web01'
check "package: containers of the original run on under an upgrade, until their jail is restarted" inside '
    bkctld --force remove all
    # The other way back: out first, then the original.
    dpkg --remove bkctld
    dpkg -i /root/original.deb
    installed
    for graph in incs jails rsyncs; do is "$(/etc/munin/plugins/bkctld_$graph)" "the original: "; done
    mkdir -p /backup/jails /backup/incs
    container_jail old01 2601
    dpkg -i /root/bkctld.deb
    old_answers 2601
    the_originals old01
    dpkg-trigger --by-package=rsync /usr/bin/rsync
    dpkg --triggers-only -a
    old_answers 2601
    the_originals old01
    dpkg -i /root/original.deb
    systemctl is-active --quiet systemd-nspawn@old01 || fail "the container was stopped on the way back"
    old_answers 2601
    dpkg -i /root/bkctld.deb
    the_originals old01
    bkctld restart old01
    ours old01
    old_answers 2601
    bkctld --force remove all'
check "package: an original from sources goes on serving, and is told of until it is moved away" inside '
    dpkg --purge bkctld
    is "$(ls /etc/munin/plugins)" bkctld_ops "after the purge"
    rm -r /etc/munin
    # Its commands are not wanted here, only that they are not ours.
    mkdir -p /usr/local/lib/bkctld
    printf "#!/bin/sh\necho from sources; exit 3\n" >/usr/local/sbin/bkctld
    chmod 755 /usr/local/sbin/bkctld
    container_jail old01 2601
    dpkg -i /root/bkctld.deb >/root/told 2>&1
    grep "/usr/local/sbin/bkctld" /root/told | grep migration.md
    grep "/usr/local/lib/bkctld" /root/told
    old_answers 2601
    /usr/sbin/bkctld check-setup | grep "WARNING.*/usr/local/sbin/bkctld, /usr/local/lib/bkctld"
    . /root/step1
    the_originals old01
    ! bkctld check-setup | grep "/usr/local" || fail "told for nothing"
    bkctld restart old01
    ours old01
    old_answers 2601
    rm -r /usr/local/sbin/bkctld.original /usr/local/lib/bkctld.original
    bkctld --force remove all'
check "package: a configuration that only a shell understands is told when the original is replaced" inside '
    dpkg --purge bkctld
    dpkg -i /root/original.deb
    echo "JAILDIR=\$(echo /backup/jails)" >>/etc/default/bkctld
    dpkg -i /root/bkctld.deb 2>&1 | grep "/etc/default/bkctld:2:"
    installed'
check "package: a configuration that nobody has changed stays, and one that is missing is put there" inside '
    dpkg --purge bkctld
    dpkg -i /root/original.deb
    cp /etc/default/bkctld /root/default
    dpkg -i /root/bkctld.deb
    cmp /root/default /etc/default/bkctld
    # What was deleted stays so.
    rm /etc/default/bkctld
    dpkg -i /root/bkctld.deb
    [ ! -e /etc/default/bkctld ] || fail "it is back"
    dpkg --purge bkctld
    dpkg -i /root/bkctld.deb
    cmp /usr/share/bkctld/default /etc/default/bkctld
    is "$(stat -c "%a %U:%G" /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld | sort -u)" "644 root:root"
    is "$(dpkg-query --show --showformat "\${Conffiles}" bkctld)" ""'
check "package: the configuration of an earlier one of ours stays, edited or not, until the purge" inside '
    for edit in "" WARNING=36; do
        dpkg --purge bkctld
        dpkg -i /root/earlier.deb
        [ -z "$edit" ] || echo "$edit" >>/etc/default/bkctld
        sum=$(cat /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld | cksum)
        dpkg -i /root/bkctld.deb
        installed
        is "$(cat /etc/default/bkctld /etc/munin/plugin-conf.d/bkctld | cksum)" "$sum" "it was changed"
        find /etc/default /etc/munin -name "bkctld.*" | { ! grep .; } || fail "copies beside it"
        dpkg --purge bkctld
        [ ! -e /etc/default/bkctld ] && [ ! -e /etc/munin ] || fail "it is left"
    done
    rm /etc/cron.d/bkctld'
