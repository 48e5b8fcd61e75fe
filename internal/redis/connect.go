package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// forms are the URLs that are understood; user and password may be left out everywhere.
const forms = "want redis://user:password@host:port/db (rediss:// with TLS), unix:///path?db=n, " +
	"redis+sentinel://user:password@host:port,host:port/master/db or redis+cluster://user:password@host:port,host:port"

// Connect makes a client of REDIS_URL:
//
//	redis://user:password@host:port/db                       one server
//	rediss://...                                             the same with TLS, as rediss+sentinel:// and rediss+cluster:// are
//	unix://user:password@/path/to/socket?db=1                one server, by its socket
//	redis+sentinel://user:password@host:port,host:port/master/db   what the Sentinels there say is the master of that name
//	redis+cluster://user:password@host:port,host:port        a Cluster, found by some of its nodes
//
// sentinel_username and sentinel_password are for the Sentinels, read_timeout=5s and the like for go-redis; ssl_cert_reqs,
// ssl_ca_certs, ssl_check_hostname, ssl_certfile and ssl_keyfile mean what they do to Celery. It does not wait for the server. The client never sends a command twice by
// itself: an XADD that was sent twice is there twice. Only on a Cluster go-redis tries again, because the key may be elsewhere;
// the scripts of our sinks compare before they append, so that the second time does nothing.
func Connect(rawURL string) (goredis.UniversalClient, error) { return connect("REDIS_URL", rawURL) }

// ConnectBroker makes a client of CELERY_BROKER_URL, as Connect does, but never of a Cluster.
func ConnectBroker(rawURL string) (goredis.UniversalClient, error) {
	client, err := connect("CELERY_BROKER_URL", rawURL)
	if _, cluster := client.(*goredis.ClusterClient); cluster {
		return nil, errors.Join(errTasksOnCluster, client.Close())
	}
	return client, err
}

// ConnectBackend makes a client of CELERY_RESULT_BACKEND, as Connect does.
func ConnectBackend(rawURL string) (goredis.UniversalClient, error) {
	return connect("CELERY_RESULT_BACKEND", rawURL)
}

// Database is the number of the database that a client speaks to.
func Database(client goredis.UniversalClient) int {
	if single, ok := client.(*goredis.Client); ok {
		return single.Options().DB
	}
	return 0 // a Cluster has no other
}

// lookAround is how often a client of a Cluster asks who has which slots. That a master is gone and another node has taken
// over it learns in no other way: the dead one does not say so, and go-redis would ask once a minute.
const lookAround = time.Second

func connect(setting, rawURL string) (goredis.UniversalClient, error) {
	o, cluster, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	o.MaxRetries, o.ContextTimeoutEnabled, o.DialerRetries = -1, true, 1
	switch {
	case cluster:
		cluster := o.Cluster()
		cluster.ClusterStateReloadInterval = lookAround
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

// parse never puts a password into its errors.
func parse(rawURL string) (o *goredis.UniversalOptions, cluster bool, err error) {
	single, hosts := splitHosts(rawURL)
	u, err := url.Parse(single)
	if err != nil {
		if fault, ok := errors.AsType[*url.Error](err); ok {
			err = fault.Err
		}
		return nil, false, fmt.Errorf("it is no URL (%w): %s", err, forms)
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
		err = fmt.Errorf("a sentinel:// of Celery's does not name the master: %s", forms)
	default:
		err = fmt.Errorf("%q is not known: %s", u.Scheme, forms)
	}
	if err != nil {
		return nil, false, err
	}
	u.Scheme, _, _ = strings.Cut(u.Scheme, "+")
	return o, cluster, common(u, o)
}

// splitHosts takes the list of hosts out of a URL that may have several, which is more than a URL is allowed.
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

// sentinels takes the master's name out of u, and leaves what an ordinary URL has.
func sentinels(u *url.URL, hosts string, o *goredis.UniversalOptions) error {
	var err error
	if o.Addrs, err = addresses(hosts, "26379"); err != nil {
		return err
	}
	name, db, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if name == "" {
		return fmt.Errorf("it does not name the master: %s", forms)
	}
	query := u.Query()
	o.MasterName, o.SentinelUsername, o.SentinelPassword = name, query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.Path, u.Host, u.RawQuery = "/"+db, o.Addrs[0], query.Encode()
	return nil
}

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

// common reads what all forms have: who we are, the database, time-outs and TLS.
func common(u *url.URL, o *goredis.UniversalOptions) error {
	query := u.Query()
	var cfg *tls.Config
	if u.Scheme == "rediss" {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if err := trust(cfg, query); err != nil {
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
	o.PoolSize, o.PoolTimeout, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = p.PoolSize, p.PoolTimeout, p.MinIdleConns, p.MaxIdleConns, p.MaxActiveConns
	o.ConnMaxIdleTime, o.ConnMaxLifetime = p.ConnMaxIdleTime, p.ConnMaxLifetime
	o.TLSConfig = cfg
	if cfg != nil && p.TLSConfig != nil && p.TLSConfig.InsecureSkipVerify { // skip_verify, go-redis' own word
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, nil
	}
	o.Dialer = dialer(cfg, p.DialTimeout)
	return nil
}
