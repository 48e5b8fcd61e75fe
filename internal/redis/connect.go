package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/renewed"
)

// forms lists the accepted URLs for error messages. User and password may be left out everywhere.
const forms = "want redis://user:password@host:port/db (rediss:// with TLS), unix:///path?db=n, " +
	"redis+sentinel://user:password@host:port,host:port/master/db or redis+cluster://user:password@host:port,host:port"

// Connect returns a client for the URL in REDIS_URL:
//
//	redis://user:password@host:port/db              one server
//	unix://user:password@/path/to/socket?db=1       one server, by its socket
//	redis+sentinel://user:password@host:port,host:port/master/db
//	                                                the master of that name, as these Sentinels report it
//	redis+cluster://user:password@host:port,host:port
//	                                                a Cluster, found through these nodes
//
// rediss://, rediss+sentinel:// and rediss+cluster:// are the same with TLS. The options sentinel_username and
// sentinel_password are for the Sentinels; ssl_cert_reqs, ssl_ca_certs, ssl_check_hostname, ssl_certfile and
// ssl_keyfile mean what they mean to Celery; read_timeout=5s and the like go to go-redis.
//
// Connect does not wait for the server. The client never retries a command by itself, because a repeated XADD would add
// the entry twice. Only on a Cluster does go-redis retry, since a key may have moved to another node; there the scripts
// of our sinks compare the mark before they append, so a repeated call appends nothing.
func Connect(rawURL string) (goredis.UniversalClient, error) { return connect("REDIS_URL", rawURL) }

// ConnectBroker returns a client for the URL in CELERY_BROKER_URL, as Connect does, but refuses a Cluster.
func ConnectBroker(rawURL string) (goredis.UniversalClient, error) {
	client, err := connect("CELERY_BROKER_URL", rawURL)
	if _, cluster := client.(*goredis.ClusterClient); cluster {
		return nil, errors.Join(errTasksOnCluster, client.Close())
	}
	return client, err
}

// ConnectBackend returns a client for the URL in CELERY_RESULT_BACKEND, as Connect does.
func ConnectBackend(rawURL string) (goredis.UniversalClient, error) {
	return connect("CELERY_RESULT_BACKEND", rawURL)
}

// Database returns the number of the database that a client uses.
func Database(client goredis.UniversalClient) int {
	if single, ok := client.(*goredis.Client); ok {
		return single.Options().DB
	}
	return 0 // a Cluster has only this one
}

// slotsInterval is how often a client of a Cluster asks which node serves which slots. A failover is not announced to
// clients: a client finds out by asking, and go-redis' default is once a minute.
const slotsInterval = time.Second

func connect(setting, rawURL string) (goredis.UniversalClient, error) {
	o, cluster, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	o.MaxRetries, o.ContextTimeoutEnabled, o.DialerRetries = -1, true, 1
	o.CredentialsProviderContext = credentials(rawURL)
	o.DisableIdentity = true // CLIENT SETINFO, which users of ACLs need not be allowed
	switch {
	case cluster:
		cluster := o.Cluster()
		cluster.ClusterStateReloadInterval = slotsInterval
		return goredis.NewClusterClient(cluster), nil
	case o.MasterName != "":
		return goredis.NewFailoverClient(o.Failover()), nil
	default:
		simple := o.Simple()
		if strings.HasPrefix(simple.Addr, "/") {
			simple.Network = "unix"
		}
		return goredis.NewClient(simple), nil
	}
}

// credentials returns what gives each connection its user and password, where the URL came from a file: the file may
// have others by then.
func credentials(rawURL string) func(context.Context) (user, password string, err error) {
	path := renewed.PathOf(rawURL)
	if path == "" {
		return nil
	}
	return func(context.Context) (string, string, error) {
		text, err := renewed.Read(path)
		if err != nil {
			return "", "", err
		}
		now, _, err := parse(text)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", path, err)
		}
		return now.Username, now.Password, nil
	}
}

// parse parses a URL. Its errors never contain the URL, which may hold a password.
func parse(rawURL string) (o *goredis.UniversalOptions, cluster bool, err error) {
	single, hosts := splitHosts(rawURL)
	u, err := url.Parse(single)
	if err != nil {
		if fault, ok := errors.AsType[*url.Error](err); ok {
			err = fault.Err
		}
		return nil, false, fmt.Errorf("not a URL (%w): %s", err, forms)
	}
	o = &goredis.UniversalOptions{}
	switch u.Scheme {
	case "redis", "rediss":
	case "unix":
		if u.Host != "" {
			err = fmt.Errorf("a socket is a path, with three slashes (unix:///run/redis.sock): %s", forms)
		}
	case "redis+sentinel", "rediss+sentinel":
		err = sentinels(u, hosts, o)
	case "redis+cluster", "rediss+cluster":
		cluster, err = true, nodes(u, hosts, o)
	case "sentinel":
		err = fmt.Errorf("the form sentinel://, which Celery takes, does not name the master: %s", forms)
	default:
		err = fmt.Errorf("unknown scheme %q: %s", u.Scheme, forms)
	}
	if err != nil {
		return nil, false, err
	}
	u.Scheme, _, _ = strings.Cut(u.Scheme, "+")
	return o, cluster, common(u, o)
}

// splitHosts replaces the list of hosts of a Sentinel or Cluster URL by one placeholder, because net/url refuses
// several hosts, and returns the list beside it.
func splitHosts(rawURL string) (single, hosts string) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || !strings.ContainsAny(scheme, "+") {
		return rawURL, ""
	}
	end := len(rest)
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		end = at
	}
	begin := strings.LastIndexByte(rest[:end], '@') + 1
	return scheme + "://" + rest[:begin] + "hosts" + rest[end:], rest[begin:end]
}

// sentinels moves the Sentinels' addresses and credentials and the master's name to o, and leaves an ordinary URL in u.
func sentinels(u *url.URL, hosts string, o *goredis.UniversalOptions) error {
	var err error
	if o.Addrs, err = addresses(hosts, "26379"); err != nil {
		return err
	}
	name, db, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if name == "" {
		return fmt.Errorf("the URL does not name the master: %s", forms)
	}
	query := u.Query()
	o.MasterName = name
	o.SentinelUsername, o.SentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.Path, u.Host, u.RawQuery = "/"+db, o.Addrs[0], query.Encode()
	return nil
}

// nodes moves the nodes' addresses to o.
func nodes(u *url.URL, hosts string, o *goredis.UniversalOptions) error {
	var err error
	if o.Addrs, err = addresses(hosts, "6379"); err != nil {
		return err
	}
	if db := strings.Trim(u.Path, "/"); db != "" && db != "0" {
		return fmt.Errorf("a Cluster has no database %q: leave the path out", db)
	}
	u.Host = o.Addrs[0]
	return nil
}

func addresses(hosts, port string) ([]string, error) {
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		u := url.URL{Host: host}
		if u.Hostname() == "" {
			return nil, fmt.Errorf("a host is missing in %q: %s", hosts, forms)
		}
		all = append(all, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	return all, nil
}

// common reads what all forms share: credentials, database, timeouts and TLS.
func common(u *url.URL, o *goredis.UniversalOptions) error {
	query := u.Query()
	var cfg *tls.Config
	if u.Scheme == "rediss" {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if err := applyTLSOptions(cfg, query); err != nil {
		return err
	}
	u.RawQuery = query.Encode()
	p, err := goredis.ParseURL(u.String())
	if err != nil {
		return fmt.Errorf("%w: %s", err, forms)
	}
	if len(o.Addrs) == 0 {
		o.Addrs = []string{p.Addr}
	}
	o.Username, o.Password, o.DB, o.Protocol, o.ClientName = p.Username, p.Password, p.DB, p.Protocol, p.ClientName
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = p.DialTimeout, p.ReadTimeout, p.WriteTimeout
	o.PoolSize, o.PoolTimeout = p.PoolSize, p.PoolTimeout
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = p.MinIdleConns, p.MaxIdleConns, p.MaxActiveConns
	o.ConnMaxIdleTime, o.ConnMaxLifetime = p.ConnMaxIdleTime, p.ConnMaxLifetime
	o.TLSConfig = cfg
	if cfg != nil && p.TLSConfig != nil && p.TLSConfig.InsecureSkipVerify { // go-redis' own option skip_verify
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, nil
	}
	o.Dialer = dialer(cfg, p.DialTimeout)
	return nil
}
