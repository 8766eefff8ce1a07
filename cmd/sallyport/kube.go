package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/protocol/kubernetes/kit"
)

// kubeTokenCommand is what kubectl calls for a credential.
func kubeTokenCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kube-token", GroupID: everydayGroup, Short: "Print the login's certificate as kubectl reads credentials",
		Long:    "kubectl runs it by a kubeconfig that \"sallyport kube-config\" has printed. The certificate is renewed when little of its time is left.",
		Example: example("sallyport kube-token", "sallyport kube-token --profile gw.example.com"),
		Args:    atMost(0),
	}
	profile := profileFlag(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		if p.Token == "" {
			return errNotLoggedIn
		}
		if err := p.renew(ctx); err != nil {
			return err
		}
		certificate, err := os.ReadFile(p.file(tlsCert))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(p.file(tlsKey))
		if err != nil {
			return err
		}
		b, err := kit.Credential(certificate, key, p.Until.UTC().Format(time.RFC3339))
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, string(b))
		return nil
	})
	return cmd
}

// kubeConfigCommand prints how kubectl reaches a cluster.
func kubeConfigCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kube-config NAME", GroupID: everydayGroup, Short: "Print a kubeconfig for a cluster; it holds no secret",
		Long:              "kubectl and client libraries ask \"sallyport kube-token\" for the login's certificate. The file goes on working after another login.",
		Example:           example("sallyport kube-config prod > ~/.kube/prod", "KUBECONFIG=~/.kube/prod kubectl get pods"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "kube-config needs a resource's name; \"sallyport ls\" lists them")
		}
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		r, at, err := p.reach(ctx, args[0], "", "")
		if err != nil {
			return answered(err)
		}
		if name := kit.Protocol().Name; r.Type != name {
			return fail(exitUsage, "resource %s is of type %s: want one of type %s", r.Name, r.Type, name)
		}
		own, err := p.authorities()
		if err != nil {
			return err
		}
		program, err := os.Executable()
		if err != nil {
			return err
		}
		b, err := kit.Config(r.Name, *at, []byte(own), program, []string{"kube-token", "--profile", p.name})
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, string(b))
		return nil
	})
	return cmd
}
