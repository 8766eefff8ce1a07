package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
)

// schemaCommand prints what config files look like, for editors.
func schemaCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "schema", GroupID: operatorGroup, Short: "Print the JSON Schema of the config file, for editors",
		Example: example("sallyport schema > sallyport.schema.json"), Args: atMost(0),
		RunE: does(func(context.Context, []string) error {
			text, err := config.Schema(gateway.Defaults())
			if err != nil {
				return err
			}
			_, err = c.out.Write(append(text, '\n'))
			return err
		}),
	}
}
