package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/protocol/aws/kit"
)

// awsCredentialsCommand is what the AWS command line and SDKs call for keys.
func awsCredentialsCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "aws-credentials NAME", GroupID: everydayGroup, Short: "Print keys of an AWS account, as credential_process of the AWS command line reads them",
		Long:              "The keys are the gateway's: they are good there alone, for the login that asked for them, and end with it, or within the hour. Put the command into ~/.aws/config as credential_process.",
		Example:           example("sallyport aws-credentials prod", "sallyport aws-credentials prod --profile gw.example.com"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              atMost(1),
	}
	profile := profileFlag(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "aws-credentials needs a resource's name; \"sallyport ls\" lists them")
		}
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		r, at, err := p.reach(ctx, args[0], "", "")
		if err != nil {
			return err
		}
		if name := kit.Protocol().Name; r.Type != name {
			return fail(exitUsage, "resource %s is of type %s: want one of type %s", r.Name, r.Type, name)
		}
		keys, err := kit.Fetch(ctx, *at)
		if err != nil {
			return err
		}
		b, err := json.Marshal(keys)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, string(b))
		return nil
	})
	return cmd
}
