package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

func given(text string) secrets.Input {
	return func(context.Context) (proxy.Secret, error) { return proxy.NewSecret(text), nil }
}

// The examples that AWS publishes of its signatures.
func TestSignatures(t *testing.T) {
	k := &Keys{ID: "AKIDEXAMPLE", Secret: proxy.NewSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	require.NoError(t, k.sign(r, nil, sigv4.Scope{Region: "us-east-1", Service: "iam", At: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)}))
	require.Equal(t, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "+
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7", r.Header.Get("Authorization"))

	k = &Keys{ID: "AKIAIOSFODNN7EXAMPLE", Secret: proxy.NewSecret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")}
	signed := k.presign("examplebucket.s3.amazonaws.com", "/test.txt", url.Values{}, "UNSIGNED-PAYLOAD", "86400", sigv4.Scope{Region: "us-east-1", Service: "s3", At: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)})
	require.Equal(t, "examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", signed)
}

// cloud is what the gateway asks of AWS, as its references describe it. It verifies signatures.
type cloud struct {
	t    testing.TB
	keys Keys

	mu       sync.Mutex
	current  string
	previous string
	binary   bool
	failure  string // a type, with which everything fails
}

func (c *cloud) set(do func()) { c.mu.Lock(); defer c.mu.Unlock(); do() }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	fail := func(typ string) {
		w.WriteHeader(http.StatusBadRequest)
		answer(map[string]string{"__type": typ, "message": "about " + c.current})
	}
	body, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	target := r.Header.Get("X-Amz-Target")
	service := map[string]string{"secretsmanager.GetSecretValue": "secretsmanager", "AmazonSSM.GetParameter": "ssm"}[target]
	at, err := time.Parse(sigv4.TimeForm, r.Header.Get("X-Amz-Date"))
	require.NoError(c.t, err)
	same := r.Clone(r.Context())
	same.Header = http.Header{"Content-Type": r.Header["Content-Type"], "X-Amz-Target": r.Header["X-Amz-Target"]}
	same.URL.Host = r.Host
	require.NoError(c.t, c.keys.sign(same, body, sigv4.Scope{Region: "eu-west-1", Service: service, At: at}))
	if r.Header.Get("Authorization") != same.Header.Get("Authorization") || r.Header.Get("X-Amz-Security-Token") != c.keys.Session.Reveal() {
		fail("InvalidSignatureException")
		return
	}
	var in struct {
		SecretID       string `json:"SecretId"`
		VersionStage   string
		Name           string
		WithDecryption bool
	}
	require.NoError(c.t, json.Unmarshal(body, &in))
	value := c.current
	if in.VersionStage == "AWSPREVIOUS" {
		value = c.previous
	}
	switch {
	case c.failure != "":
		fail(c.failure)
	case in.SecretID == "orders" && c.binary:
		answer(map[string]any{"SecretBinary": []byte(value), "VersionId": "v2"})
	case in.SecretID == "orders" && in.VersionStage == "AWSPREVIOUS" && c.previous == "":
		fail("ResourceNotFoundException")
	case in.SecretID == "orders":
		answer(map[string]any{"SecretString": value, "VersionId": "v2", "VersionStages": []string{"AWSCURRENT"}})
	case (in.Name == "/app/db" || in.Name == "db" || in.Name == "db:3") && in.WithDecryption:
		answer(map[string]any{"Parameter": map[string]any{"Name": in.Name, "Type": "SecureString", "Value": value, "Version": 3}})
	case in.Name != "":
		fail("com.amazonaws.ssm#ParameterNotFound")
	default:
		fail("ResourceNotFoundException")
	}
}

func openCloud(t *testing.T) (*cloud, *secretstest.Front, *Provider) {
	t.Helper()
	c := &cloud{t: t, keys: Keys{ID: "AKID", Secret: proxy.NewSecret("key-of-aws"), Session: proxy.NewSecret("session+of/aws==")}}
	front := secretstest.NewFront(t, c)
	p, err := New(Config{Region: "eu-west-1", Endpoint: front.URL, Login: &Static{ID: "AKID", Secret: given("key-of-aws"), Session: given("session+of/aws==")}})
	require.NoError(t, err)
	return c, front, p
}

func TestSuite(t *testing.T) {
	for name, refs := range map[string][3]string{
		"Secrets Manager": {"aws:secretsmanager/orders", "aws:secretsmanager/none", ""},
		"Parameter Store": {"aws:ssm/app/db", "aws:ssm/none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				c, front, p := openCloud(t)
				return &secretstest.Rig{
					Scheme: "aws", Provider: p, Front: front, Ref: refs[0], Missing: refs[1], Empties: true, Large: true,
					Set: func(value string) { c.set(func() { c.current = value }) },
				}
			})
		})
	}
}

func TestReferences(t *testing.T) {
	c, _, p := openCloud(t)
	c.current = `{"username":"app","password":"hunter2"}`
	get := func(text string, u secrets.Use) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, u)
	}
	v, err := get("aws:secretsmanager/orders#password?user=username", secrets.Use{})
	require.NoError(t, err)
	require.Equal(t, []any{"hunter2", "app", "v2", true}, []any{v.Plain().Reveal(), v.Username, v.Version, v.Shared})
	v, err = get("aws:ssm/db?version=3", secrets.Use{})
	require.NoError(t, err)
	require.Equal(t, "3", v.Version)

	// While a rotation is under way the resource may still want the one from before.
	c.set(func() { c.current, c.previous = "next", "before" })
	for refused, want := range map[string]string{"next": "before", "before": "next", "older": "next"} {
		v, err = get("aws:secretsmanager/orders", secrets.Use{Fresh: true, Refused: proxy.NewSecret(refused)})
		require.NoError(t, err)
		require.Equal(t, want, v.Plain().Reveal(), refused)
	}
	c.set(func() { c.previous = "" })
	v, err = get("aws:secretsmanager/orders", secrets.Use{Fresh: true, Refused: proxy.NewSecret("next")})
	require.NoError(t, err)
	require.Equal(t, "next", v.Plain().Reveal(), "there is none before")

	c.set(func() { c.binary = true })
	_, err = get("aws:secretsmanager/orders", secrets.Use{})
	require.ErrorIs(t, err, secrets.ErrType)
	for typ, want := range map[string]error{
		"AccessDeniedException": secrets.ErrDenied, "com.amazon.coral.service#ExpiredTokenException": secrets.ErrDenied, "DecryptionFailure": secrets.ErrDenied,
		"ThrottlingException": secrets.ErrUnavailable,
	} {
		c.set(func() { c.failure, c.current = typ, "hunter2" })
		_, err := get("aws:secretsmanager/orders", secrets.Use{})
		require.ErrorIs(t, err, want, typ)
		require.NotContains(t, err.Error(), "hunter2")
	}
	c.set(func() { c.failure = "hunter2Exception" })
	_, err = get("aws:secretsmanager/orders", secrets.Use{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	for _, ref := range []string{"aws:orders", "aws:secretsmanager/", "aws:s3/bucket", "aws:rds/db", "aws:rds/db:5432#x", "aws:rds/evil/@db:5432", "aws:ssm/db?region=evil.example.com/"} {
		_, err := get(ref, secrets.Use{Account: "app"})
		require.Error(t, err, ref)
	}
}

// A login of RDS is a signed URL for one address and one user, which a holder of the same key can verify.
func TestLogin(t *testing.T) {
	_, front, p := openCloud(t)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	p.now = func() time.Time { return now }
	ref, err := secrets.Parse("aws:rds/db.x.eu-west-1.rds.amazonaws.com:5432")
	require.NoError(t, err)
	require.True(t, p.Leases(ref))
	v, err := p.Resolve(t.Context(), ref, secrets.Use{Account: "app user"})
	require.NoError(t, err)
	token := v.Password.Reveal()
	require.True(t, strings.HasPrefix(token, "db.x.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=app%20user&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260304%2Feu-west-1%2Frds-db%2Faws4_request&"), token)
	u, err := url.Parse("https://" + token)
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, []string{"900", "host", "session+of/aws=="}, []string{q.Get("X-Amz-Expires"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Security-Token")})
	signature := q.Get("X-Amz-Signature")
	q.Del("X-Amz-Signature")
	canonical := "GET\n/\n" + strings.ReplaceAll(q.Encode(), "+", "%20") + "\nhost:" + u.Host + "\n\nhost\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	require.Equal(t, sigv4.Scope{Region: "eu-west-1", Service: "rds-db", At: now}.Signature("key-of-aws", canonical), signature)
	require.Zero(t, front.Requests(), "nobody is asked")
	other, err := p.Resolve(t.Context(), ref, secrets.Use{Account: "other"})
	require.NoError(t, err)
	require.NotEqual(t, token, other.Password.Reveal())
	_, err = p.Resolve(t.Context(), ref, secrets.Use{})
	require.ErrorContains(t, err, "no user name")
}

// metadata gives keys as EC2, containers and STS do.
type metadata struct {
	t     testing.TB
	mu    sync.Mutex
	ends  time.Time
	asked int
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := func() {
		m.asked++
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"AKID-%d","SecretAccessKey":"key","Token":"session","Expiration":%q}`, m.asked, m.ends.UTC().Format(time.RFC3339))
	}
	switch path := r.URL.Path; {
	case path == "/latest/api/token" && r.Method == http.MethodPut && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		fmt.Fprint(w, "imds-token")
	case strings.HasPrefix(path, "/latest/") && r.Header.Get("X-aws-ec2-metadata-token") != "imds-token":
		w.WriteHeader(http.StatusUnauthorized)
	case path == "/latest/meta-data/iam/security-credentials/":
		fmt.Fprint(w, "my-role")
	case path == "/latest/meta-data/iam/security-credentials/my-role":
		keys()
	case path == "/v1/credentials" && r.Header.Get("Authorization") == "container-token":
		keys()
	case path == "/" && r.Method == http.MethodPost:
		require.NoError(m.t, r.ParseForm())
		f := r.PostForm
		if f.Get("Action") != "AssumeRoleWithWebIdentity" || f.Get("WebIdentityToken") != "pod-token" || f.Get("RoleArn") != "arn:aws:iam::1:role/gw" || f.Get("RoleSessionName") == "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>`)
			return
		}
		m.asked++
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<SessionToken>session</SessionToken><SecretAccessKey>key</SecretAccessKey><Expiration>%s</Expiration><AccessKeyId>AKID-%d</AccessKeyId>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, m.ends.UTC().Format(time.RFC3339), m.asked)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

func TestLogins(t *testing.T) {
	for name, login := range map[string]func(url string) Login{
		"machine":   func(url string) Login { return &Machine{metadata: url} },
		"container": func(string) Login { return Container{} },
		"web identity": func(url string) Login {
			return &WebIdentity{Role: "arn:aws:iam::1:role/gw", Token: given("pod-token"), sts: url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &metadata{t: t, ends: time.Now().Add(time.Hour)}
			front := secretstest.NewFront(t, m)
			t.Setenv(full, front.URL+"/v1/credentials")
			t.Setenv(tokenText, "container-token")
			g := &ring{login: login(front.URL), region: "eu-west-1"}
			for range 3 {
				k, err := g.get(t.Context())
				require.NoError(t, err)
				require.Equal(t, []string{"AKID-1", "key", "session"}, []string{k.ID, k.Secret.Reveal(), k.Session.Reveal()})
			}
			m.mu.Lock()
			m.ends = time.Now().Add(2 * time.Hour)
			m.mu.Unlock()
			g.kept.Expires = time.Now().Add(early - time.Second)
			k, err := g.get(t.Context())
			require.NoError(t, err)
			require.Equal(t, "AKID-2", k.ID, "they are asked for before they end")
			g.kept = nil
			for mode, want := range map[secretstest.Mode]error{secretstest.Down: secrets.ErrUnavailable, secretstest.Refuses: secrets.ErrDenied, secretstest.Garbage: secrets.ErrType} {
				front.Set(mode, "canary-of-keys")
				_, err := g.get(t.Context())
				require.ErrorIs(t, err, want)
				require.Nil(t, secretstest.Leaks(err.Error(), "canary-of-keys"))
			}
		})
	}
	_, err := (&WebIdentity{Role: "arn:aws:iam::1:role/gw", Token: given("another"), sts: secretstest.NewFront(t, &metadata{t: t}).URL}).keys(t.Context(), "eu-west-1")
	require.ErrorIs(t, err, secrets.ErrDenied)
	ended := &ring{login: &Machine{metadata: secretstest.NewFront(t, &metadata{t: t, ends: time.Now().Add(-time.Second)}).URL}}
	_, err = ended.get(t.Context())
	require.ErrorIs(t, err, secrets.ErrExpired)
}

// A container's environment cannot have the gateway's token sent to another machine in clear.
func TestContainerAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8080/x": true, "http://169.254.170.23/v1/credentials": true, "https://keys.example.com/x": true, "http://[fd00:ec2::23]/v1": true,
		"http://keys.example.com/x": false, "http://10.0.0.1/x": false, "": false, "ftp://169.254.170.2/": false,
	} {
		require.Equal(t, ok, near(address) == nil, address)
	}
}

func TestAmbient(t *testing.T) {
	for _, v := range []string{"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", relative, full} {
		t.Setenv(v, "")
	}
	require.IsType(t, &Machine{}, Ambient())
	t.Setenv(relative, "/v2/credentials/x")
	require.IsType(t, Container{}, Ambient())
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/gw")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")
	require.IsType(t, &WebIdentity{}, Ambient())
}

func TestSettings(t *testing.T) {
	for _, s := range []*Settings{
		{Region: "eu-west-1"},
		{Region: "us-gov-west-1", Keys: &KeysSettings{ID: "A", Secret: "env:S", Session: "env:T"}},
		{Region: "cn-north-1", WebIdentity: &WebIdentitySettings{Role: "arn:aws:iam::1:role/gw", Token: "file:t"}},
	} {
		require.NoError(t, s.Validate())
		_, err := Kind().Open(s, secrets.Host{})
		require.NoError(t, err)
	}
	for _, s := range []*Settings{
		{},
		{Region: "evil.example.com/"},
		{Region: "eu-west-1", Endpoint: "http://x"},
		{Region: "eu-west-1", Keys: &KeysSettings{ID: "A", Secret: "hunter2"}},
		{Region: "eu-west-1", Keys: &KeysSettings{Secret: "env:S"}},
		{Region: "eu-west-1", WebIdentity: &WebIdentitySettings{Role: "gw", Token: "file:t"}},
		{Region: "eu-west-1", Keys: &KeysSettings{ID: "A", Secret: "env:S"}, WebIdentity: &WebIdentitySettings{Role: "arn:x", Token: "file:t"}},
	} {
		require.Error(t, s.Validate())
	}
	require.Equal(t, "ssm.cn-north-1.amazonaws.com.cn", host("ssm", "cn-north-1"))
	require.False(t, errors.Is(failure(errors.New("x")), secrets.ErrDenied))
}
