# Connections between regions by TLS with certificates and by SCRAM: service files and passfiles of each server, addresses in the log
# without any secret, and what a person reads when something about them is wrong.
use strict;
use warnings FATAL => 'all';

use Cwd 'abs_path';
use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => [qw(us eu ap)], start => 0, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.retry_max_interval = 1s
CONF
my @all = $g->names;
my $dir = abs_path($PostgreSQL::Test::Utils::tmp_check) . '/tls';

# --- certificates: an authority, and one that nobody trusts
mkdir $dir or die "$dir: $!";

sub openssl
{
	my ($command) = @_;

	system_log("cd $dir && openssl $command 2>>$dir/openssl.log >&2") == 0 or die "openssl $command: " . slurp_file("$dir/openssl.log");
	return;
}

sub certificate
{
	my ($authority, $name, $subject, $file) = @_;

	$file //= $name;
	openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$subject -keyout $file.key -out $file.csr");
	append_to_file("$dir/$file.ext", "subjectAltName=DNS:$subject\n");
	openssl("x509 -req -in $file.csr -CA $authority.crt -CAkey $authority.key -CAcreateserial -days 2 -extfile $file.ext -out $file.crt");
	chmod 0600, "$dir/$file.key" or die "$file.key: $!";
	return;
}

openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$_ -keyout $_.key -out $_.crt") foreach qw(ca other);
certificate('ca', "$_-server", "$_.example.com") foreach @all;
certificate('ca', "$_-client", 'region_peer') foreach @all;
certificate('ca', 'stranger', 'stranger');
certificate('other', 'other-client', 'region_peer');
certificate('other', 'other-server', 'us.example.com');

# --- each server: TLS only, a service file and a passfile of its own.  us and eu are called with a certificate, ap with a password.
my %service;

sub write_service
{
	my ($of) = @_;
	my $text = '';

	foreach my $to (@all)
	{
		my %entry = %{ $service{$of}{$to} };

		$text .= "[$to]\n" . join '', map { "$_=$entry{$_}\n" } sort keys %entry;
	}
	unlink "$dir/$of.service";
	append_to_file("$dir/$of.service", $text);
	return;
}

sub write_password
{
	my ($of, $password) = @_;

	unlink "$dir/$of.pass";
	append_to_file("$dir/$of.pass", "*:*:*:region_scram:$password\n");
	chmod 0600, "$dir/$of.pass" or die "$dir/$of.pass: $!";
	return;
}

foreach my $of (@all)
{
	my $region = $g->region($of);

	foreach my $to (@all)
	{
		my %place = map { split /=/, $_, 2 } split / /, $g->conninfo($to);

		$service{$of}{$to} = {
			host => "$to.example.com", hostaddr => $place{host}, port => $place{port}, dbname => $place{dbname},
			sslmode => 'verify-full', sslrootcert => "$dir/ca.crt",
			$to eq 'ap' ? (user => 'region_scram', passfile => "$dir/$of.pass")
			  : (user => 'region_peer', sslcert => "$dir/$of-client.crt", sslkey => "$dir/$of-client.key") };
	}
	write_service($of);
	write_password($of, 'right');
	$region->append_conf('postgresql.conf', "ssl = on\nssl_ca_file = '$dir/ca.crt'\nssl_cert_file = '$dir/$of-server.crt'\nssl_key_file = '$dir/$of-server.key'\n");
	unlink $region->data_dir . '/pg_hba.conf';
	$region->append_conf('pg_hba.conf', "local all all trust\nhostssl all region_peer all cert\nhostssl all region_scram all scram-sha-256\n");
	{
		local $ENV{PGSERVICEFILE} = "$dir/$of.service";
		$region->start;
	}
	$region->sql('CREATE ROLE region_peer LOGIN');
	$g->sql($of, q{CREATE EXTENSION schemadrift; CREATE ROLE region_scram LOGIN PASSWORD 'right';
		GRANT schemadrift_peer TO region_peer, region_scram});
}

sub why
{
	my ($where, $who) = @_;

	return "SELECT coalesce(error, '') FROM schemadrift.regions WHERE region = '$who'";
}

# Break what `where` uses to call `who`; then say so in regions, mend it, and be well again.
sub trouble
{
	my ($where, $who, $pattern, $what, $break, $mend) = @_;

	$break->();
	$g->sql($who, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'schemadrift $where'");
	ok($g->wait_until($where, why($where, $who), $pattern), "$what: $where says so of $who");
	note("$what: " . $g->sql($where, why($where, $who)));
	$mend->();
	ok($g->wait_until($where, "SELECT circuit FROM schemadrift.regions WHERE region = '$who'", 'closed'), "$what: mended, all is well");
	return;
}

sub with_service
{
	my ($where, $who, %change) = @_;
	my %before = %{ $service{$where}{$who} };

	return (sub { $service{$where}{$who} = { %before, %change }; write_service($where) },
		sub { $service{$where}{$who} = {%before}; write_service($where) });
}

sub with_server
{
	my ($who, $certificate) = @_;
	my $use = sub {
		$g->sql($who, "ALTER SYSTEM SET ssl_cert_file = '$dir/$_[0].crt'");
		$g->sql($who, "ALTER SYSTEM SET ssl_key_file = '$dir/$_[0].key'");
		$g->sql($who, 'SELECT pg_reload_conf()');
	};

	return (sub { $use->($certificate) }, sub { $use->("$who-server") });
}

# --- a wrong certificate is refused before anything is joined
$g->sql('us', q{SELECT schemadrift.init('us', 'service=us')});
my ($break, $mend) = with_service('eu', 'us', sslcert => "$dir/other-client.crt", sslkey => "$dir/other-client.key");
$break->();
my $r = $g->try('eu', q{SELECT schemadrift.join('service=us', 'eu', 'service=eu')});
is($r->{sqlstate}, '08001', 'joining with a certificate of another authority: SQLSTATE');
like($r->{detail}, qr/unknown ca/, 'and DETAIL');
note($r->{detail});
$mend->();
$r = $g->try('eu', q{SELECT schemadrift.join('service=nowhere', 'eu', 'service=eu')});
like($r->{detail}, qr/definition of service "nowhere" not found/, 'a service that is not defined here');
$r = $g->try('eu', q{SELECT schemadrift.join('service=us', 'eu', 'service=eu passfile=/etc/passwords sslpassword=x')});
like($r->{err}, qr/must not contain a password.*"sslpassword"/s, 'no secrets in the log');

# --- the group
foreach my $name (qw(eu ap))
{
	$r = $g->try($name, "SELECT schemadrift.join('service=us', '$name', 'service=$name')");
	ok($r->{ok}, "$name joins by the name of a service") or diag($r->{err});
	ok($g->wait_until('us', "SELECT role FROM schemadrift.regions WHERE region = '$name'", 'voter'), 'and is a voter');
}
ok($g->reached, 'all hear each other');
$g->sql($_, "CREATE TABLE by_$_ (id int)") foreach @all;
ok($g->converged, 'each region changes the schema of all');
ok($g->wait_until($_, q{SELECT count(*) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.application_name LIKE 'schemadrift %'
	AND a.client_addr IS NOT NULL AND s.ssl AND (a.usename = 'region_scram' OR s.client_dn = '/CN=region_peer')}, 2),
	"both others call $_ by TLS, with certificate or password") foreach @all;
is($g->sql('us', q{SELECT count(*) FROM schemadrift_store.log WHERE convert_from(body, 'UTF8') ~ 'right|example|\.key'}), 0,
	'the log has the names of services only');

# --- what is wrong is said
trouble('eu', 'us', qr/unknown ca \(the other server does not trust our certificate\)/, 'a certificate of another authority',
	with_service('eu', 'us', sslcert => "$dir/other-client.crt", sslkey => "$dir/other-client.key"));
trouble('eu', 'us', qr/certificate authentication failed for user "region_peer"/, q{somebody else's certificate},
	with_service('eu', 'us', sslcert => "$dir/stranger.crt", sslkey => "$dir/stranger.key"));
trouble('eu', 'us', qr/requires a valid client certificate/, 'no certificate',
	with_service('eu', 'us', sslcert => "$dir/none.crt", sslkey => "$dir/none.key"));
trouble('eu', 'us', qr/no pg_hba\.conf entry .* no encryption/, 'no TLS', with_service('eu', 'us', sslmode => 'disable'));
trouble('eu', 'us', qr/certificate verify failed \(we do not trust the other server's certificate/, 'a server with a certificate of another authority', with_server('us', 'other-server'));
trouble('eu', 'us', qr/server certificate for "eu\.example\.com" does not match host name "us\.example\.com"/,
	q{another server's certificate}, with_server('us', 'eu-server'));
trouble('eu', 'us', qr/definition of service "us" not found/, 'a service that was lost', sub {
		unlink "$dir/eu.service";
		append_to_file("$dir/eu.service", "[other]\nhost=x\n");
	}, sub { write_service('eu') });
trouble('us', 'ap', qr/password authentication failed for user "region_scram"/, 'a wrong password',
	sub { write_password('us', 'wrong') }, sub { write_password('us', 'right') });
trouble('us', 'ap', qr/no password supplied \(it wants a password/, 'no password', sub { unlink "$dir/us.pass" }, sub { write_password('us', 'right') });
trouble('eu', 'us', qr/has group or world access/, 'a key that others can read',
	sub { chmod 0644, "$dir/eu-client.key" or die }, sub { chmod 0600, "$dir/eu-client.key" or die });

# --- a password of one's own, here alone
$g->sql('us', sprintf q{SELECT schemadrift.set_peer_conninfo('ap', 'service=ap passfile=/nonexistent password=right')});
trouble('us', 'ap', qr/password authentication failed/, 'a wrong password in an address of its own',
	sub { $g->sql('us', q{SELECT schemadrift.set_peer_conninfo('ap', 'service=ap passfile=/nonexistent password=wrong')}) },
	sub { $g->sql('us', q{SELECT schemadrift.set_peer_conninfo('ap', 'service=ap passfile=/nonexistent password=right')}) });
is($g->sql('us', q{SELECT conninfo, in_log FROM schemadrift.peer_conninfo WHERE region = 'ap'}), 'service=ap passfile=/nonexistent|service=ap',
	'its view does not show it');
unlike(slurp_file($g->region('us')->logfile), qr/password authentication failed.*password=/, 'nor do messages');
ok(can_change($g, $_), "$_ changes the schema") foreach @all;
ok($g->converged, 'and all follow');

done_testing();
