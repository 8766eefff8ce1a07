package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/doctor"
	"github.com/sallyport/sallyport/proxy"
)

// doctorCommand looks at a deployment and says what is wrong with it, and what to do.
func doctorCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", GroupID: operatorGroup, Short: "Look at a deployment, and say what is wrong with it and what to do",
		Long:    "Looks at the config file and what it refers to, the data directory, disk, clock,\ncertificates, store, ports, names, services and resources, and changes nothing. Run it on\nthe gateway's machine as its user or root. Ends with 1 when there is a problem. See\ndocs/doctor.md.",
		Example: example("sallyport doctor", "sallyport doctor --quiet -o json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file, output := configFlag(f), listFlags(f)
	quiet := f.BoolP("quiet", "q", false, "show problems and warnings alone")
	offline := f.Bool("offline", false, "ask nothing by the network")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		e := &doctor.Examination{Config: cfg, Machine: doctor.This{}, Offline: *offline, Reach: reacher(cfg)}
		found := e.Run(ctx)
		for _, p := range atMachine(ctx, *file, cfg) {
			found = append(found, doctor.Finding{Check: "ports", Level: doctor.Problem, About: p.File, Text: p.Text, Do: p.Hint})
		}
		return tellFindings(c, output, found, *quiet)
	})
	return cmd
}

// reacher logs in to the resources of a config file.
func reacher(cfg *config.File) func(context.Context, func(resource, name string, tried bool, err error)) error {
	return func(ctx context.Context, each func(resource, name string, tried bool, err error)) error {
		x, err := gateway.NewExplainer(cfg, gateway.Options{})
		if err != nil {
			return err
		}
		x.ReachEach(ctx, func(r *proxy.Resource, name string, tried bool, err error) {
			if tried && err != nil {
				err = errors.New(unreachable(r.Name, err))
			}
			each(r.Name, name, tried, err)
		})
		return x.Close()
	}
}

// tellFindings prints what was found, and fails when there is a problem.
func tellFindings(c *cli, o *output, found []doctor.Finding, quiet bool) error {
	problems, warnings := 0, 0
	var shown []doctor.Finding
	for _, f := range found {
		switch f.Level {
		case doctor.Problem:
			problems++
		case doctor.Warning:
			warnings++
		}
		if f.Level != doctor.OK && f.Level != doctor.Note || !quiet {
			shown = append(shown, f)
		}
	}
	err := printList(c.out, o, "Finding", shown,
		column[doctor.Finding]{name: "LEVEL", cell: func(f doctor.Finding) string { return string(f.Level) }},
		column[doctor.Finding]{name: "CHECK", cell: func(f doctor.Finding) string { return f.Check }},
		column[doctor.Finding]{name: "ABOUT", cell: func(f doctor.Finding) string { return f.About }},
		column[doctor.Finding]{name: "FINDING", cell: func(f doctor.Finding) string {
			if f.Do == "" {
				return f.Text
			}
			return f.Text + ": " + f.Do
		}},
	)
	if err != nil {
		return err
	}
	if problems > 0 {
		return fail(exitError, "%s and %s", counted(problems, "problem"), counted(warnings, "warning"))
	}
	return nil
}
