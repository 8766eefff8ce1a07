package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/proxy"
)

func meCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "me", GroupID: everydayGroup, Short: "Change your password and second factor, as a local user",
			Example: example("sallyport me password", "sallyport me totp add", "sallyport me factors"),
		},
		meFactorsCommand(c), mePasswordCommand(c),
		family(
			&cobra.Command{Use: "totp", Short: "Codes of an app as a second factor", Example: example("sallyport me totp add")},
			meTOTPAddCommand(c), meTOTPRemoveCommand(c),
		),
		meRecoveryCommand(c),
	)
}

// proofFlags are where a person's proofs come from.
type proofFlags struct{ password, code string }

func addProofFlags(f *pflag.FlagSet) *proofFlags {
	p := &proofFlags{}
	f.StringVar(&p.password, "password-file", "", "`file` with the password, in place of asking; \"-\" is a line of the input")
	f.StringVar(&p.code, "code-file", "", "`file` with the code of the second factor, in place of asking; \"-\" is a line of the input")
	return p
}

// self is a local user who has logged in, with what she proves herself by.
type self struct {
	*profile
	api     *client.Client
	factors *control.Factors
	ask     *prompter
}

func openSelf(ctx context.Context, c *cli, name string) (*self, error) {
	p, err := openProfile(name)
	if err != nil {
		return nil, err
	}
	api, err := p.api()
	if err != nil {
		return nil, err
	}
	f, err := api.Factors(ctx)
	if err != nil {
		return nil, answered(err)
	}
	return &self{p, api, f, c.prompter()}, nil
}

// again asks for what proves her: the password, and a code where she has a second factor.
func (s *self) again(f *proofFlags) (a control.Again, err error) {
	if a.Password, err = s.ask.secret(f.password, "Password of "+visible(s.User)+": "); err != nil {
		return a, err
	}
	if s.factors.TOTP != nil {
		var code proxy.Secret
		code, err = s.ask.code(f.code, "Code of your second factor: ")
		a.Code = code.Reveal()
	}
	return a, err
}

// afterProof has cmd do something as the user of a login, after she has proven herself. may, which may be nil, says before that
// why it is not done.
func afterProof(c *cli, cmd *cobra.Command, may func(*self) error, do func(context.Context, *self, control.Again, *proofFlags) error) *cobra.Command {
	f := cmd.Flags()
	profile, proof := profileFlag(f), addProofFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		s, err := openSelf(ctx, c, *profile)
		if err == nil && may != nil {
			err = may(s)
		}
		if err != nil {
			return err
		}
		again, err := s.again(proof)
		if err != nil {
			return err
		}
		return do(ctx, s, again, proof)
	})
	return cmd
}

func meFactorsCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "factors", Short: "Show by what you prove yourself",
		Example: example("sallyport me factors", "sallyport me factors --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		s, err := openSelf(ctx, c, *profile)
		if err != nil {
			return err
		}
		if output.format != "text" {
			return printObject(c.out, output, "Factors", s.factors)
		}
		password := "as the gateway's operator gave it"
		if at := s.factors.Password; !at.IsZero() {
			password = "chosen at " + at.Local().Format(time.DateTime)
		}
		fmt.Fprintf(c.out, "%-12s %s\n", "password", password)
		totp := "not set up: sallyport me totp add"
		if t := s.factors.TOTP; t != nil {
			totp = fmt.Sprintf("since %s; %s left", t.Since.Local().Format(time.DateTime), counted(t.RecoveryCodes, "recovery code"))
		}
		fmt.Fprintf(c.out, "%-12s %s\n", "app", totp)
		return nil
	})
	return cmd
}

func mePasswordCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "password", Short: "Choose another password",
		Long:    "It asks for the password that you have, and for a code where you have a second factor. Your other logins end. Programs give the files, or one line of the input for each: the password, the code, the new password.",
		Example: example("sallyport me password", "sallyport me password --password-file old --new-password-file new"),
		Args:    atMost(0),
	}
	file := cmd.Flags().String("new-password-file", "", "`file` with the new password, in place of asking; \"-\" is a line of the input")
	return afterProof(c, cmd, nil, func(ctx context.Context, s *self, again control.Again, _ *proofFlags) error {
		chosen, err := s.ask.secret(*file, "New password: ")
		if err != nil {
			return err
		}
		if *file == "" && s.ask.terminal() != nil {
			typed, err := s.ask.secret("", "Again: ")
			if err != nil {
				return err
			}
			if typed != chosen {
				return fail(exitUsage, "the two passwords differ: nothing has changed")
			}
		}
		ended, err := s.api.ChangePassword(ctx, again, proxy.NewSecret(chosen))
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "the password is changed\n%s\n", told(ended))
		return nil
	})
}

// told says what has ended with a change, and what has not.
func told(e *control.Ended) string {
	text := fmt.Sprintf("other logins that have ended: %d", e.Logins)
	if e.Tokens > 0 {
		text += fmt.Sprintf("; access tokens that go on: %d (sallyport token ls)", e.Tokens)
	}
	return text
}

func meTOTPAddCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "add", Short: "Set up codes of an app as a second factor",
		Long:    "It shows a secret for an app such as those on phones, and asks for a code of it. Then it shows recovery codes, once: each logs you in when the app is lost. From then on a password alone does not log you in, also not with psql or ssh: these use what \"sallyport login\" leaves.",
		Example: example("sallyport me totp add"),
		Args:    atMost(0),
	}
	return afterProof(c, cmd, func(s *self) error {
		if s.factors.TOTP != nil {
			return fail(exitError, "you have a second factor; to have another one: sallyport me totp remove")
		}
		return nil
	}, func(ctx context.Context, s *self, again control.Again, proof *proofFlags) error {
		begun, err := s.api.AddTOTP(ctx, again)
		if err != nil {
			return answered(err)
		}
		if err := show(c, begun.URL); err != nil {
			return err
		}
		enrolled, err := s.confirm(ctx, proof.code)
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "the second factor counts from now on\n%s\n\nRecovery codes, for when the app is lost. Each counts once, and they are not shown again:\n\n", told(&enrolled.Ended))
		for _, code := range enrolled.Codes {
			fmt.Fprintf(c.out, "  %s\n", visible(code))
		}
		s.Factor = s.Subject
		return answered(s.certify(ctx, false))
	})
}

// show prints what an app has to be told.
func show(c *cli, address string) error {
	u, err := url.Parse(address)
	secret := ""
	if err == nil {
		secret = u.Query().Get("secret")
	}
	if secret == "" {
		return errors.New("the gateway's answer has no secret for an app")
	}
	var groups []string
	for ; len(secret) > 4; secret = secret[4:] {
		groups = append(groups, secret[:4])
	}
	fmt.Fprintf(c.err, "Add an entry with this secret to the app on your phone, by time, with 6 digits:\n\n  %s\n\nor give the app this address:\n\n  %s\n\n", visible(strings.Join(append(groups, secret), " ")), visible(address))
	return nil
}

// mistyped is how often a code may be typed.
const mistyped = 3

// confirm asks for the first code of the app.
func (s *self) confirm(ctx context.Context, file string) (*control.Enrolled, error) {
	for try := 1; ; try++ {
		code, err := s.ask.code(file, "Code that the app shows: ")
		if err != nil {
			return nil, err
		}
		done, err := s.api.ConfirmTOTP(ctx, code)
		var refused *control.Error
		if !errors.As(err, &refused) || refused.Code != control.CodeUnproven || try == mistyped || file != "" || s.ask.terminal() == nil {
			return done, err
		}
		fmt.Fprintln(s.ask.c.err, "That code is not correct. Is the phone's clock right?")
	}
}

func meTOTPRemoveCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove", Short: "Take the second factor away",
		Long:    "It asks for the password, and for a code of the factor or a recovery code. Who has lost both asks an administrator, who has: sallyport admin users reset-factors.",
		Example: example("sallyport me totp remove"),
		Args:    atMost(0),
	}
	return afterProof(c, cmd, func(s *self) error {
		if s.factors.TOTP == nil {
			return fail(exitNotFound, "you have no second factor")
		}
		return nil
	}, func(ctx context.Context, s *self, again control.Again, _ *proofFlags) error {
		if err := s.api.RemoveTOTP(ctx, again); err != nil {
			return answered(err)
		}
		s.Factor = ""
		fmt.Fprintln(c.out, "the second factor is taken away")
		return s.save()
	})
}

func meRecoveryCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recovery-codes", Short: "Have other recovery codes in place of those before",
		Example: example("sallyport me recovery-codes"),
		Args:    atMost(0),
	}
	return afterProof(c, cmd, nil, func(ctx context.Context, s *self, again control.Again, _ *proofFlags) error {
		codes, err := s.api.RecoveryCodes(ctx, again)
		if err != nil {
			return answered(err)
		}
		for _, code := range codes.Codes {
			fmt.Fprintln(c.out, visible(code))
		}
		return nil
	})
}

// stepUp has the user of a login prove herself again, so that its age begins anew.
func (o *loginOptions) stepUp(ctx context.Context, c *cli, p *profile) error {
	api, err := p.api()
	if err != nil {
		return err
	}
	f, err := api.Factors(ctx)
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeNotFound {
		return o.stepUpAtProvider(ctx, c, p)
	}
	if err != nil {
		return err
	}
	var again control.Again
	if ask := c.prompter(); f.TOTP != nil {
		var code proxy.Secret
		code, err = ask.code(o.proof.code, "Code of your second factor: ")
		again.Code = code.Reveal()
	} else {
		again.Password, err = ask.secret(o.proof.password, "Password of "+visible(p.User)+": ")
	}
	if err != nil {
		return err
	}
	_, err = api.Prove(ctx, again)
	return err
}

// stepUpAtProvider has the user log in at her provider again, which has her prove herself.
func (o *loginOptions) stepUpAtProvider(ctx context.Context, c *cli, p *profile) error {
	provider, _, _ := strings.Cut(p.Subject, "/")
	api, err := p.ask()
	if err != nil {
		return err
	}
	login, err := byBrowser(ctx, c, api, provider, !o.noBrowser, client.Recently)
	if err != nil {
		return err
	}
	if login.Subject != p.Subject {
		return fail(exitError, "login --step-up: the profile is that of %s, and %s has logged in: log in to another profile", p.Subject, login.Subject)
	}
	p.Token, p.Expires = login.Token, login.Expires
	return p.save()
}
