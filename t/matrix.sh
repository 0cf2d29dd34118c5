#!/bin/sh
# matrix.sh [MAJOR...]: "make test" on other majors of PostgreSQL than this machine's own, in folders with other releases
# of Debian.
#
# A folder is made once, by debootstrap and t/setup.sh, and kept in MATRIX_DIR (default: /var/tmp/schemadrift-matrix); its packages
# come from where this machine's apt gets its own.  What is mounted there, and every process that runs there, goes
# when this script ends: both are in namespaces of its own.  One matrix at a time is in a folder, others wait.  STEPS and ONLY are those of "make test"; logs are
# copied to build/matrix.  The last line counts what passed and failed in all folders.  Needs root.
#
# DIR: a directory that t/replay.pl, t/schemas.pl or t/coverage.pl, given by ONLY, is to read; for t/coverage.pl the source tree of the one major.
#
# Each folder holds the older majors, too, for the tests that need two (t/230_majors.pl, t/231_pg_upgrade.pl): their packages
# are those of the older releases, and libraries of different releases get along.
set -eu

# Where Debian has them; it never had 16 in a release.  A folder of each release gives the newest there that we support.
suites="15:bookworm 17:trixie 18:forky"
dir=${MATRIX_DIR:-/var/tmp/schemadrift-matrix}
source=$(cd "$(dirname "$0")/.." && pwd)

fail()
{
	echo "matrix: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "folders with another Debian can be made and entered by root only"
if [ "${SD_MATRIX_INSIDE:-}" != yes ]; then
	command -v debootstrap >/dev/null || fail "install debootstrap first"
	mkdir -p "$dir" "$source/build/matrix"
	export SD_MATRIX_INSIDE=yes
	exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

native=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null | sed 's/^PostgreSQL \([0-9]*\).*/\1/') || native=
wanted="$*"
if [ -z "$wanted" ]; then
	for pair in $suites; do
		[ "${pair%%:*}" = "$native" ] || wanted="$wanted ${pair%%:*}"
	done
fi

# The first of apt's sources that is Debian itself.
mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p
}

enter() # FOLDER COMMAND...
{
	folder=$1
	shift
	chroot "$folder" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

furnish() # FOLDER
{
	# making namespaces inside needs a root directory that is a mount point
	mount --bind "$1" "$1"
	mount -t proc proc "$1/proc"
	mount --rbind /dev "$1/dev"
}

strip() # FOLDER
{
	umount --recursive --lazy "$1"
}

# Sources only: what was built there stays, for the next time.
sources() # FOLDER
{
	mkdir -p "$1/schemadrift"
	for part in "$1"/schemadrift/*; do
		[ "$part" = "$1/schemadrift/build" ] || rm -rf "$part"
	done
	# of now: their own times are before those of objects that were made here from another tree
	tar -C "$source" --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$1/schemadrift" -xmf -
}

make_folder() # MAJOR SUITE
{
	folder=$dir/$1
	log=$source/build/matrix/$1.setup.log
	from=$(mirror)
	[ -n "$from" ] || fail "apt knows no Debian mirror; run apt-get update first"
	echo "matrix: making a folder with PostgreSQL $1 (Debian $2); once, it takes minutes"
	rm -rf --one-file-system "$folder"
	proxy=
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	# sid's script is good for every suite, and known where a younger suite's is not
	env ${proxy:+http_proxy="$proxy"} debootstrap --variant=minbase "$2" "$folder" "$from" \
		/usr/share/debootstrap/scripts/sid >"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; fail "debootstrap failed; see $log"; }
	apt-config dump | grep '^Acquire::[A-Za-z-]' >"$folder/etc/apt/apt.conf.d/50matrix" || :
	# no service is to be started there
	printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
	chmod +x "$folder/usr/sbin/policy-rc.d"
	furnish "$folder"
	sources "$folder"
	enter "$folder" sh -c 'cd /schemadrift && t/setup.sh jq promtool prometheus-postgres-exporter' >>"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; fail "t/setup.sh failed in the folder; see $log"; }
	strip "$folder"
	found=$(enter "$folder" pg_config --version)
	case $found in
		"PostgreSQL $1"*) ;;
		*) fail "Debian $2 gave $found instead of $1" ;;
	esac
	touch "$folder/.complete"
}

# Another major in a folder, from the release that has it.
add_major() # FOLDER MAJOR SUITE
{
	log=$source/build/matrix/${1##*/}.with-$2.log
	from=$(mirror)
	[ -n "$from" ] || fail "apt knows no Debian mirror; run apt-get update first"
	echo "matrix: adding PostgreSQL $2 (Debian $3) to the folder with ${1##*/}"
	echo "deb $from $3 main" >"$1/etc/apt/sources.list.d/$3.list"
	# What building needs of the -dev package is headers and makefiles; what it depends on is a compiler that nothing here uses.
	enter "$1" sh -e -c 'apt-get -q update
		DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install postgresql-'"$2"'
		cd /tmp && apt-get -q download postgresql-server-dev-'"$2"'
		dpkg-deb -x postgresql-server-dev-'"$2"'_*.deb / && rm postgresql-server-dev-'"$2"'_*.deb' </dev/null >"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; fail "PostgreSQL $2 could not be added; see $log"; }
	touch "$1/.with-$2"
}

passed=0
failed=0
for major in $wanted; do
	suite=
	for pair in $suites; do
		[ "${pair%%:*}" != "$major" ] || suite=${pair#*:}
	done
	[ -n "$suite" ] || fail "no release of Debian has PostgreSQL $major"
	# one at a time in each folder; the one before is given up
	exec 9>"$dir/$major.lock"
	flock --nonblock 9 || { echo "matrix: another one runs in $dir/$major; waiting for its end"; flock 9; }
	[ -e "$dir/$major/.complete" ] || make_folder "$major" "$suite"

	furnish "$dir/$major"
	sources "$dir/$major"
	others=
	for pair in $suites; do
		[ "${pair%%:*}" -lt "$major" ] || continue
		[ -e "$dir/$major/.with-${pair%%:*}" ] || add_major "$dir/$major" "${pair%%:*}" "${pair#*:}"
		others="$others /usr/lib/postgresql/${pair%%:*}/bin/pg_config"
	done
	log=$source/build/matrix/$major.log
	echo "== $(enter "$dir/$major" pg_config --version), Debian $suite"
	# what t/replay.pl, t/schemas.pl and t/coverage.pl are given; they need no other major
	if [ -n "${DIR:-}" ]; then
		others=
		mkdir -p "$dir/$major/given"
		mount --bind "$DIR" "$dir/$major/given"
	fi
	enter "$dir/$major" STEPS="${STEPS:-}" ONLY="${ONLY:-}" OTHER_PG_CONFIG="${others# }" SD_TEST_JOBS="${SD_TEST_JOBS:-}" \
		HISTORY=/given SCHEMAS=/given PGSRC=/given PLAY="${PLAY:-}" FROM="${FROM:-}" PARTS="${PARTS:-}" VIA="${VIA:-}" SEED="${SEED:-1}" FAULTS="${FAULTS:-}" REVERTS="${REVERTS:-20}" \
		SD_TEST_FILE_TIMEOUT="${DIR:+7200}" sh -c \
		'cd /schemadrift && exec make -s test PG_CONFIG=/usr/lib/postgresql/'"$major"'/bin/pg_config STEPS="$STEPS" ONLY="$ONLY" 2>&1' |
		tee "$log"
	strip "$dir/$major"
	[ -z "${DIR:-}" ] || sed -n 's/^# \(replay\|coverage\): //p' "$dir/$major/schemadrift/build/log/tap/"*.tap
	rm -rf "$source/build/matrix/$major"
	[ ! -d "$dir/$major/schemadrift/build/log" ] || cp -r "$dir/$major/schemadrift/build/log" "$source/build/matrix/$major"

	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p' "$log" | tail -n 1)
	[ -n "$counts" ] || counts="0 1"
	passed=$((passed + ${counts% *}))
	failed=$((failed + ${counts#* }))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
