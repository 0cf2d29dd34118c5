#!/bin/sh
# setup.sh: install what building and testing need, on Debian 12 or newer; nothing where nothing is missing.
#
# PG_CONFIG=... says which PostgreSQL; without it the newest installed one, or else the newest that the package
# lists offer and schemadrift supports.  Arguments: further packages that are needed, by the name of a command in it.
# What would start a service when installed is only unpacked, below build/tools (t/run.pl puts it into the PATH of tests).
set -eu

# iptables, for one, is where only root looks for commands
PATH=$PATH:/usr/sbin:/sbin

oldest=15
newest=18
missing=

need() # PACKAGE COMMAND...: the package, unless the command works
{
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

sudo=
if [ "$(id -u)" != 0 ]; then
	sudo="sudo --non-interactive"
fi
install()
{
	echo "setup: installing $*"
	quietly="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends"
	$quietly install "$@" </dev/null >"$log" 2>&1 && return
	# the lists may be empty, or too old
	$quietly update </dev/null >"$log" 2>&1 && $quietly install "$@" </dev/null >>"$log" 2>&1 && return
	cat "$log" >&2
	echo "setup: could not install $*" >&2
	exit 1
}
log=$(mktemp)
trap 'rm -rf "$log" "$log.d"' EXIT

unpack() # COMMAND PACKAGE...: unless there is such a command; from the first of these that has it
{
	command -v "$1" >/dev/null 2>&1 || [ -x "build/tools/usr/bin/$1" ] && return
	wanted=$1
	shift
	echo "setup: unpacking $1"
	mkdir -p "$log.d" build/tools
	for try in 1 2; do
		for package; do
			(cd "$log.d" && apt-get -q download "$package") >>"$log" 2>&1 &&
				dpkg-deb -x "$log.d/${package}"_*.deb build/tools >>"$log" 2>&1 && [ -x "build/tools/usr/bin/$wanted" ] && return
		done
		[ $try = 2 ] || $sudo apt-get -q update </dev/null >>"$log" 2>&1 || break
	done
	cat "$log" >&2
	echo "setup: could not unpack $1" >&2
	exit 1
}

offered()
{
	[ -n "$(apt-cache --names-only search "^postgresql-server-dev-$1\$" 2>/dev/null)" ]
}

complete() # can extensions be built and tested with this pg_config?
{
	pgxs=$("$1" --pgxs 2>/dev/null) && [ -e "$pgxs" ] &&
		[ -x "$("$1" --bindir)/initdb" ] &&
		[ -x "$(dirname "$pgxs")/../test/regress/pg_regress" ] &&
		[ -e "$(dirname "$pgxs")/../test/perl/PostgreSQL/Test/Cluster.pm" ] &&
		[ -e "$("$1" --includedir-server)/postgres.h" ] &&
		[ -e "$("$1" --includedir)/libpq-fe.h" ]
}

if ! complete "${PG_CONFIG:-pg_config}"; then
	if [ -n "${PG_CONFIG:-}" ] && [ "$PG_CONFIG" != pg_config ]; then
		echo "setup: $PG_CONFIG lacks the server, its headers, pg_regress or libpq's headers" >&2
		exit 1
	fi
	command -v apt-get >/dev/null || { echo "setup: no PostgreSQL and no apt-get here" >&2; exit 1; }
	major=
	for m in $(seq $newest -1 $oldest); do
		[ -x /usr/lib/postgresql/$m/bin/postgres ] && major=$m && break
	done
	if [ -z "$major" ]; then
		for again in no yes; do
			for m in $(seq $newest -1 $oldest); do
				offered "$m" && major=$m && break
			done
			[ -n "$major" ] || [ $again = yes ] && break
			echo "setup: the package lists offer no PostgreSQL; updating them"
			$sudo apt-get -q update </dev/null >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
		done
	fi
	[ -n "$major" ] || { echo "setup: no PostgreSQL $oldest to $newest to be had" >&2; exit 1; }

	# Debian makes and starts a cluster of its own when the server is installed, unless told before.
	conf=/etc/postgresql-common/createcluster.conf
	if [ ! -x /usr/lib/postgresql/$major/bin/postgres ]; then
		[ -e $conf ] || install postgresql-common
		$sudo sed -i 's/^#\?[[:space:]]*create_main_cluster.*/create_main_cluster = false/' $conf
		grep -q '^create_main_cluster = false' $conf ||
			echo 'create_main_cluster = false' | $sudo tee -a $conf >/dev/null
	fi
	missing="postgresql-$major postgresql-server-dev-$major libpq-dev"
fi

need gcc command -v gcc
need libc6-dev test -e /usr/include/stdlib.h
need make command -v make
need binutils command -v nm
need perl perl -MTest::More -MTAP::Parser -e 1
need libipc-run-perl perl -MIPC::Run -e 1
need spin command -v spin
need iproute2 command -v ip
need iptables command -v iptables
need openssl command -v openssl
need mount command -v losetup
need e2fsprogs command -v mkfs.ext4
need procps command -v ps
for more; do
	case $more in
		scan-build) need clang-tools command -v scan-build ;;
		# what clang links sanitizers and libFuzzer from
		libclang-rt-dev) need libclang-rt-dev sh -c 'ls "$(clang -print-runtime-dir)"/libclang_rt.fuzzer_no_main-*' ;;
		libdbd-pg-perl) need "$more" perl -MDBD::Pg -e 1 ;;
		nodejs) need "$more" command -v node ;;
		promtool) unpack promtool promtool prometheus ;;
		prometheus-postgres-exporter) unpack "$more" "$more" ;;
		*) need "$more" command -v "$more" ;;
	esac
done

[ -z "$missing" ] || install $missing
complete "${PG_CONFIG:-pg_config}" ||
	{ echo "setup: ${PG_CONFIG:-pg_config} still lacks something to build and test with" >&2; exit 1; }
