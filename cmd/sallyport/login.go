package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/loopback"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/proxy"
)

// loginOptions are the flags of login.
type loginOptions struct {
	profile, provider, user, ca, fingerprint, workload string
	device, noBrowser, again                           bool
	proof                                              *proofFlags
	agent                                              *delegation
}

func loginCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "login [URL]", GroupID: everydayGroup, Short: "Log in at a gateway with your company's account",
		Long:    "The browser opens the company's login page; without one, --device shows a code to type elsewhere. What the login leaves on this machine is kept in the user's configuration folder, ends with the login, and is renewed by the other commands. The first time, the gateway's fingerprint is shown: compare it with what its operator says.",
		Example: example("sallyport login https://gw.example.com:7443", "sallyport login --device", "sallyport login --user bob --ca ca.pem gw.example.com:7443", "sallyport login --step-up", "sallyport login --agent coder --action read --resource orders"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	o := &loginOptions{}
	profile := profileFlag(f)
	f.StringVar(&o.provider, "provider", "", "log in at this identity `provider`; empty is the gateway's first")
	f.StringVarP(&o.user, "user", "u", "", "log in as this local `user` of the gateway, whose password is asked for")
	f.BoolVar(&o.device, "device", false, "show a code to type on another machine")
	f.BoolVar(&o.noBrowser, "no-browser", false, "show the page's address, and open no browser")
	f.StringVar(&o.ca, "ca", "", "`file` of the authority by which the gateway is known")
	f.StringVar(&o.fingerprint, "fingerprint", "", "the SHA-256 of the gateway's authority, in `hex`: nothing is asked")
	f.StringVar(&o.workload, "workload", "", "log a program in by its platform's token, in this `file`; \"-\" is standard input")
	f.BoolVar(&o.again, "step-up", false, "prove yourself again, for rules that ask for a recent login; open connections go on as they were")
	o.proof, o.agent = addProofFlags(f), addDelegation(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		o.profile = *profile
		if err := o.agent.check(); err != nil {
			return err
		}
		if o.agent.name != "" {
			return answered(o.delegate(ctx, c, args))
		}
		if o.again {
			return answered(o.renew(ctx, c, args))
		}
		p, err := o.begin(ctx, c, args)
		if err != nil {
			return answered(err)
		}
		if err := o.login(ctx, c, p); err != nil {
			return answered(err)
		}
		if err := errors.Join(p.certify(ctx, true), p.use()); err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "logged in at %s as %s until %s\n", p.URL, visible(p.User), p.Expires.Local().Format(time.DateTime))
		return nil
	})
	return cmd
}

// renew has the age of a login begin anew, and the certificate say so.
func (o *loginOptions) renew(ctx context.Context, c *cli, args []string) error {
	if len(args) > 0 || o.device || o.workload != "" || o.user != "" {
		return fail(exitUsage, "login --step-up is about the login of a profile: give --profile, and no URL, --user, --device or --workload")
	}
	p, err := openProfile(o.profile)
	if err != nil {
		return err
	}
	if err := o.stepUp(ctx, c, p); err != nil {
		return err
	}
	if err := p.certify(ctx, false); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s has proven herself again at %s\n", visible(p.User), p.URL)
	return nil
}

// begin makes the profile, whose gateway is known.
func (o *loginOptions) begin(ctx context.Context, c *cli, args []string) (*profile, error) {
	before, err := openProfile(o.profile)
	if len(args) == 0 {
		if err != nil {
			return nil, fail(exitUsage, "login needs the gateway's URL: sallyport login https://gw.example.com:7443")
		}
		return before, o.know(ctx, c, before)
	}
	probe, err := client.New(client.Config{URL: args[0]})
	if err != nil {
		return nil, fail(exitUsage, "%v", err)
	}
	name := o.profile
	if name == "" {
		name = nameOf(probe.URL())
	}
	if again, err := openProfile(name); err == nil && again.URL == probe.URL() {
		return again, o.know(ctx, c, again)
	}
	p, err := newProfile(name, probe.URL())
	if err != nil {
		return nil, err
	}
	if err := os.Remove(p.file(authorityPEM)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // it was another gateway's
	}
	return p, o.know(ctx, c, p)
}

// know finds out by which authority the gateway is known: the file that was named, the one
// from before, the system's, or its own once a person has compared it.
func (o *loginOptions) know(ctx context.Context, c *cli, p *profile) error {
	if o.ca != "" {
		b, err := os.ReadFile(o.ca)
		if err != nil {
			return err
		}
		if err := p.write(authorityPEM, b); err != nil {
			return err
		}
	}
	api, err := p.ask()
	if err != nil {
		return err
	}
	_, err = api.Server(ctx)
	known, kerr := p.authorities()
	switch {
	case kerr != nil:
		return kerr
	case err == nil && o.fingerprint == "":
		return nil
	case err != nil && !client.Untrusted(err):
		return err
	case err != nil && known != "" && o.fingerprint == "":
		return fail(exitUnreachable, "the gateway at %s is not the one that is known here: %v; if its operator has given it another authority, log in with --fingerprint or --ca", p.URL, err)
	}
	announced, err := client.Announce(ctx, p.URL)
	if err != nil {
		return err
	}
	if err := o.compare(c, p.URL, announced); err != nil {
		return err
	}
	return p.write(authorityPEM, []byte(announced.Authorities))
}

// compare has a person, or a flag, say that an authority is the gateway's.
func (o *loginOptions) compare(c *cli, at string, a *client.Announced) error {
	if o.fingerprint != "" {
		want, err := readFingerprint(o.fingerprint)
		if err != nil {
			return err
		}
		if want != a.Fingerprint {
			return fail(exitUnreachable, "the authority of %s has the fingerprint %s, and not the one that was given: somebody else may answer there", at, a.Fingerprint)
		}
		return nil
	}
	fmt.Fprintf(c.err, "%s is not known here yet. The SHA-256 of its authority's certificate:\n\n  %s\n\n", at, a.Fingerprint)
	if f, ok := c.in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return fail(exitUsage, "login: compare it with what the gateway's operator says, and give --fingerprint or --ca")
	}
	fmt.Fprint(c.err, "Is that what the gateway's operator says? Type yes to go on: ")
	line, err := bufio.NewReader(io.LimitReader(c.in, 100)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != "yes" {
		return fail(exitError, "the gateway is not known, so that nobody logs in")
	}
	return nil
}

// readFingerprint reads an SHA-256 as login shows it, or as openssl does: "sha256 Fingerprint=AB:CD:…".
func readFingerprint(text string) (string, error) {
	digits := text[strings.LastIndex(text, "=")+1:]
	digits = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(digits), ":", ""))
	if b, err := hex.DecodeString(digits); err != nil || len(b) != sha256.Size {
		return "", fail(exitUsage, "login: --fingerprint: got %q, want the 64 hexadecimal digits of an SHA-256, with or without colons", text)
	}
	return digits, nil
}

// login proves who it is, in the way that the flags and the gateway leave.
func (o *loginOptions) login(ctx context.Context, c *cli, p *profile) error {
	p.Token = "" // of a login before
	api, err := p.ask()
	if err != nil {
		return err
	}
	server, err := api.Server(ctx)
	if err != nil {
		return err
	}
	login, err := o.prove(ctx, c, api, server, p)
	if err != nil {
		return err
	}
	p.Token, p.Subject, p.Expires = login.Token, login.Subject, login.Expires
	return p.save()
}

func (o *loginOptions) prove(ctx context.Context, c *cli, api *client.Client, server *control.Server, p *profile) (*control.Login, error) {
	if o.user != "" || len(server.Providers) == 0 {
		if !server.Passwords {
			return nil, fail(exitUsage, "login: nobody logs in by a password at this gateway; leave --user out")
		}
		if o.user == "" {
			return nil, fail(exitUsage, "login: this gateway has no identity provider; give --user USER")
		}
		return o.byPassword(ctx, c, api, p)
	}
	provider := server.Providers[0]
	if o.provider != "" {
		i := slices.IndexFunc(server.Providers, func(p control.LoginProvider) bool { return p.Name == o.provider })
		if i < 0 {
			var names []string
			for _, p := range server.Providers {
				names = append(names, p.Name)
			}
			return nil, fail(exitUsage, "login: the gateway has no provider %q: want %s", o.provider, anyOf(names))
		}
		provider = server.Providers[i]
	}
	switch {
	case o.workload != "":
		token, err := readToken(c, o.workload)
		if err != nil {
			return nil, err
		}
		return api.Workload(ctx, provider.Name, token)
	case o.device || !o.noBrowser && !canBrowse() && provider.Device:
		return byDevice(ctx, c, api, provider.Name)
	}
	return byBrowser(ctx, c, api, provider.Name, !o.noBrowser, "")
}

// byPassword logs a local user in. Gateways do not say whether a code of a second factor is
// missing or the password is wrong, so that a person is asked for a code in both cases; when she
// had to give one last time, at once.
func (o *loginOptions) byPassword(ctx context.Context, c *cli, api *client.Client, p *profile) (*control.Login, error) {
	ask := c.prompter()
	password, err := ask.secret(o.proof.password, "Password of "+o.user+": ")
	if err != nil {
		return nil, err
	}
	var code proxy.Secret
	if p.Factor == o.user || o.proof.code != "" {
		if code, err = ask.code(o.proof.code, "Code of your second factor: "); err != nil {
			return nil, err
		}
	}
	login, err := api.Login(ctx, o.user, proxy.NewSecret(password), code)
	var refused *control.Error
	if code.Empty() && errors.As(err, &refused) && refused.Code == control.CodeUnauthenticated {
		var bad error
		if code, bad = ask.code(o.proof.code, "Code of your second factor, if you have one: "); bad != nil || code.Empty() {
			return nil, errors.Join(err, bad)
		}
		login, err = api.Login(ctx, o.user, proxy.NewSecret(password), code)
	}
	if err != nil {
		return nil, err
	}
	if p.Factor = ""; !code.Empty() {
		p.Factor = o.user
	}
	return login, nil
}

// readToken reads a token from a file, or from standard input.
func readToken(c *cli, file string) (proxy.Secret, error) {
	in := c.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return proxy.Secret{}, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 64<<10))
	return proxy.NewSecret(strings.TrimSpace(string(b))), err
}

// canBrowse reports whether this machine is likely to have a browser.
func canBrowse() bool {
	if os.Getenv("BROWSER") != "" {
		return true
	}
	if os.Getenv("SSH_CONNECTION") != "" {
		return false
	}
	return runtime.GOOS == "darwin" || runtime.GOOS == "windows" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// byBrowser logs in by the browser of this machine. query is what the provider is asked for
// besides.
func byBrowser(ctx context.Context, c *cli, api *client.Client, provider string, open bool, query string) (*control.Login, error) {
	receiver, err := loopback.Listen()
	if err != nil {
		return nil, err
	}
	defer receiver.Close()
	at, err := receiver.URL(api.LoginURL(provider) + query)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c.err, "Log in by this page, and compare the code %s:\n\n  %s\n\n", oidc.Code(receiver.Challenge()), at)
	if open {
		if err := browse(ctx, at); err != nil {
			fmt.Fprintf(c.err, "no browser could be opened: %v\n", err)
		}
	}
	ctx, stop := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("nobody has logged in for ten minutes"))
	defer stop()
	code, err := receiver.Wait(ctx)
	if err != nil {
		return nil, fail(exitNotLoggedIn, "%v", err)
	}
	return api.Redeem(ctx, code, receiver.Verifier())
}

// browse opens a page.
func browse(ctx context.Context, at string) error {
	program := []string{"xdg-open"}
	switch {
	case os.Getenv("BROWSER") != "":
		program = []string{os.Getenv("BROWSER")}
	case runtime.GOOS == "darwin":
		program = []string{"open"}
	case runtime.GOOS == "windows":
		program = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program[0], append(program[1:], at)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // the page is the user's
	return nil
}

// byDevice logs in by a code that is typed elsewhere.
func byDevice(ctx context.Context, c *cli, api *client.Client, provider string) (*control.Login, error) {
	d, err := api.BeginDevice(ctx, provider)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c.err, "On a machine with a browser, open\n\n  %s\n\nand type the code\n\n  %s\n\n", visible(d.URL), visible(d.Code))
	for {
		select {
		case <-time.After(time.Duration(max(1, d.Wait)) * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		login, err := api.Poll(ctx, provider, d)
		if err != nil || login != nil {
			return login, err
		}
	}
}

func logoutCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "logout", GroupID: everydayGroup, Short: "End the login, and delete what it has left on this machine",
		Example: example("sallyport logout", "sallyport logout --profile gw.example.com"),
		Args:    atMost(0),
	}
	profile := profileFlag(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		api, err := p.api()
		if err != nil {
			return err
		}
		// What is here goes in any case; the gateway is told first, while it can be.
		told := api.Logout(ctx)
		var refused *control.Error
		if errors.As(told, &refused) && refused.Code == control.CodeUnauthenticated {
			told = nil // it has ended already
		}
		if err := errors.Join(told, p.forget()); err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "logged out at %s\n", p.URL)
		return nil
	})
	return cmd
}

func whoamiCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "whoami", GroupID: everydayGroup, Short: "Say who you are at the gateway, and what you may do there",
		Example: example("sallyport whoami", "sallyport whoami --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		api, err := p.api()
		if err != nil {
			return err
		}
		me, err := api.WhoAmI(ctx)
		if err != nil {
			return answered(err)
		}
		if output.format != "text" {
			return printObject(c.out, output, "Identity", me)
		}
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(c.out, "%-12s %s\n", name, visible(value))
			}
		}
		line("subject", me.Subject)
		line("name", me.Name)
		line("log in as", me.User)
		line("groups", strings.Join(me.Groups, ", "))
		var may []string
		for _, m := range me.Permissions {
			may = append(may, string(m))
		}
		line("may", strings.Join(may, ", "))
		line("until", me.Expires.Local().Format(time.DateTime))
		return nil
	})
	return cmd
}

// loginState is a profile as status shows it.
type loginState struct {
	Profile     string    `json:"profile"`
	Current     bool      `json:"current"`
	URL         string    `json:"url"`
	Subject     string    `json:"subject,omitempty"`
	State       string    `json:"state"` // logged-in, logged-out, ended or unreachable
	Expires     time.Time `json:"expires,omitzero"`
	Certificate time.Time `json:"certificate,omitzero"`
}

func statusCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", GroupID: everydayGroup, Short: "Show the logins of this machine, and whether they count",
		Long:    "It ends with code 4 when the login of the current profile does not count.",
		Example: example("sallyport status", "sallyport status --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		names, err := profiles()
		if err != nil {
			return err
		}
		current := *profile
		if p, err := openProfile(*profile); err == nil {
			current = p.name
		}
		var list []loginState
		counts := false
		for _, name := range names {
			p, err := openProfile(name)
			if err != nil {
				return err
			}
			s := loginState{Profile: name, Current: name == current, URL: p.URL, Subject: p.Subject, State: p.state(ctx), Expires: p.Expires, Certificate: p.Until}
			counts = counts || s.Current && s.State == "logged-in"
			list = append(list, s)
		}
		err = printList(
			c.out, output, "Login", list,
			column[loginState]{"PROFILE", false, func(s loginState) string { return s.Profile }},
			column[loginState]{"URL", false, func(s loginState) string { return s.URL }},
			column[loginState]{"SUBJECT", false, func(s loginState) string { return s.Subject }},
			column[loginState]{"STATE", false, func(s loginState) string { return s.State }},
			column[loginState]{"UNTIL", false, func(s loginState) string { return localTime(s.Expires) }},
			column[loginState]{"CERTIFICATE", true, func(s loginState) string { return localTime(s.Certificate) }},
		)
		if err != nil {
			return err
		}
		if !counts {
			return errNotLoggedIn
		}
		return nil
	})
	return cmd
}

// state says whether a login counts.
func (p *profile) state(ctx context.Context) string {
	if p.Token == "" {
		return "logged-out"
	}
	api, err := p.api()
	if err == nil {
		ctx, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		_, err = api.WhoAmI(ctx)
	}
	var refused *control.Error
	switch {
	case err == nil:
		return "logged-in"
	case errors.As(err, &refused):
		return "ended"
	}
	return "unreachable"
}
