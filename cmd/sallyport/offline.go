package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/review/offline"
)

// Commands about grants that count while the store and the identity provider are down.

func offlineCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "offline-grant", Short: "Grants for when the store and the identity provider are down",
			Long:    "A grant is made beforehand, and lets nobody in by itself. In the emergency its user begins to use it at the gateway's machine, which prints a statement. She and some of the keepers sign that, each on a machine of their own, by ssh-keygen; with their signatures she is given a name and a password.",
			Example: example("sallyport admin offline-grant create dora vm1 --key dora.pub --reason drill"),
		},
		offlineCreateCommand(c), offlineBeginCommand(c), offlineUseCommand(c),
	)
}

func offlineCreateCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create SUBJECT RESOURCE", Short: "Make a grant, and print it",
		Example:           example("sallyport admin offline-grant create dora vm1 --key dora.pub --reason drill"),
		ValidArgsFunction: offers(c, subjects, false),
		Args:              atMost(2),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	req := control.OfflineGrantRequest{}
	key := f.String("key", "", "`file` of her public key of SSH, as ssh-keygen writes it; required")
	f.StringVar(&req.Account, "account", "", "only as this `account` of the resource")
	f.StringVar(&req.Rule, "rule", "", "by this access `rule`; without it, by the first that lets her")
	f.StringSliceVar(&req.Actions, "ops", nil, "only these `actions` of the rule; several by commas")
	length := f.Duration("for", 0, "the longest that it is taken for; without it, as long as the rule lets her")
	f.IntVar(&req.Days, "days", 0, "for how many `days` it can be used; without it 90, at most 366")
	f.StringVar(&req.Reason, "reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) != 2 || *key == "" || req.Reason == "" {
			return fail(exitUsage, "admin offline-grant create --key FILE --reason WHY SUBJECT RESOURCE")
		}
		line, err := readOffline(*key)
		if err != nil {
			return err
		}
		req.Subject, req.Resource, req.Key, req.Seconds = args[0], args[1], strings.TrimSpace(line), int64(*length/time.Second)
		api, err := open()
		if err != nil {
			return err
		}
		g, err := api.MakeOffline(ctx, req)
		if err != nil {
			return answered(err)
		}
		fmt.Fprint(c.out, g.Sealed)
		fmt.Fprintf(c.err, "grant %s for %s can be used until %s; it is for her to keep\n", g.ID, visible(args[0]), g.NotAfter.Local().Format(time.DateOnly))
		return nil
	})
	return cmd
}

func offlineBeginCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "begin GRANT", Short: "Begin to use a grant at the gateway's machine, and print what is signed",
		Example: example("sallyport admin offline-grant begin dora.grant --reason \"all is down\""),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	req := control.OfflineBegin{}
	f.StringVar(&req.Reason, "reason", "", "the `reason`, which those who sign see; required")
	length := f.Duration("for", 0, "how long; without it, as long as the grant says")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || req.Reason == "" {
			return fail(exitUsage, "admin offline-grant begin --reason WHY GRANT")
		}
		var err error
		if req.Sealed, err = readOffline(args[0]); err != nil {
			return err
		}
		req.Seconds = int64(*length / time.Second)
		api, err := open()
		if err != nil {
			return err
		}
		s, err := api.BeginOffline(ctx, req)
		if err != nil {
			return answered(err)
		}
		fmt.Fprint(c.out, s.Text)
		fmt.Fprintf(c.err, "By %s, %s and %d of %s sign this:\n\n  ssh-keygen -Y sign -n %s -f KEY FILE\n\n", s.Expires.Local().Format(time.TimeOnly), visible(s.Subject), s.Need, visible(strings.Join(s.Keepers, ", ")), offline.Namespace)
		return nil
	})
	return cmd
}

func offlineUseCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "use GRANT STATEMENT SIGNATURE...", Short: "Use a grant, at the gateway's machine, and print what its user logs in with",
		Example: example("sallyport admin offline-grant use dora.grant use.txt a.sig b.sig c.sig"),
		Args:    cobra.ArbitraryArgs,
	}
	open := controlFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) < 3 {
			return fail(exitUsage, "admin offline-grant use GRANT STATEMENT SIGNATURE...")
		}
		if len(args) > offline.MaxKeepers+3 {
			return fail(exitUsage, "admin offline-grant use: got %d signatures, want at most %d", len(args)-2, offline.MaxKeepers+1)
		}
		texts := make([]string, len(args))
		for i, name := range args {
			var err error
			if texts[i], err = readOffline(name); err != nil {
				return err
			}
		}
		api, err := open()
		if err != nil {
			return err
		}
		a, err := api.UseOffline(ctx, control.OfflineUse{Sealed: texts[0], Statement: texts[1], Signatures: texts[2:]})
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "user      %s\npassword  %s\n", visible(a.User), visible(a.Password))
		fmt.Fprintln(c.err, become(a.Request))
		return nil
	})
	return cmd
}

// maxOffline bounds the files of these commands, in bytes.
const maxOffline = 64 << 10

func readOffline(name string) (string, error) {
	st, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if st.Size() > maxOffline {
		return "", fmt.Errorf("%s: got %d bytes, want at most %d", name, st.Size(), maxOffline)
	}
	b, err := os.ReadFile(name)
	if err == nil && len(b) == 0 {
		err = errors.New(name + " is empty")
	}
	return string(b), err
}
