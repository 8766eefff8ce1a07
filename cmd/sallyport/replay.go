package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// maxExamples is how many changed operations of a sort replay shows.
const maxExamples = 5

// replayed is what changed rules would have done with what happened.
type replayed struct {
	Operations int       `json:"operations"`    // judged again
	Skipped    int       `json:"skipped"`       // of resources that the rules no longer know, or not recorded in full
	Denied     []example `json:"newly_denied"`  // were allowed
	Held       []example `json:"newly_held"`    // ran without an approval
	Allowed    []example `json:"newly_allowed"` // were refused
	Totals     struct {
		Denied  int `json:"newly_denied"`
		Held    int `json:"newly_held"`
		Allowed int `json:"newly_allowed"`
	} `json:"totals"`
}

type example struct {
	Session string `json:"session"`
	Time    string `json:"time"`
	User    string `json:"user"`
	Target  string `json:"target"`
	Text    string `json:"text"`
	Answer  string `json:"answer"`
}

// policyReplay judges what is on record by the config's rules, as they are now,
// and shows what would be answered otherwise.
func policyReplay(ctx context.Context, c *cli, args []string) error {
	f := c.flags("policy replay")
	file := configFlag(f)
	dir := f.String("d", "", "audit log's `directory`; empty is that of the config file")
	since := f.Duration("since", 30*24*time.Hour, "what happened within this `time`")
	output := f.String("o", "text", "`format`: text or json")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *output != "text" && *output != "json" {
		return fail(exitUsage, "unknown format %q: want text or json", *output)
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	a, err := openArchive(c, *file, *dir)
	if err != nil {
		return err
	}
	j, err := newJudge(cfg)
	if err != nil {
		return err
	}
	r := &replayed{Denied: []example{}, Held: []example{}, Allowed: []example{}}
	ids, err := a.Sessions()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := r.session(ctx, j, a, id, time.Now().Add(-*since)); err != nil {
			return err
		}
	}
	if *output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		r.print(c)
	}
	if r.Totals.Denied+r.Totals.Held+r.Totals.Allowed > 0 {
		return fail(exitError, "")
	}
	return nil
}

// session judges one session's operations again.
func (r *replayed) session(ctx context.Context, j *judge, a *audit.Archive, id string, after time.Time) error {
	var start *audit.Event
	ended := ends(a, id)
	for e, err := range a.Events(id) {
		if err != nil {
			r.Skipped++ // erased, or cut off: what cannot be read cannot be judged
			return nil
		}
		switch e.Type {
		case audit.SessionStart:
			at, err := time.Parse(time.RFC3339Nano, e.Time)
			if err != nil || at.Before(after) {
				return nil
			}
			start = e
		case audit.OperationStart, audit.OperationRefused:
			if start == nil {
				return nil // the gateway's own record
			}
			if err := r.operation(ctx, j, start, e, ended[e.Op]); err != nil {
				return err
			}
		}
	}
	return nil
}

// end is how an operation ended that ran.
type end struct {
	approved bool
	rows     float64
}

// ends are those of a session, as far as it can be read.
func ends(a *audit.Archive, id string) map[uint64]end {
	list := make(map[uint64]end)
	for e, err := range a.Events(id) {
		if err != nil {
			break
		}
		if e.Type == audit.OperationEnd {
			list[e.Op] = end{e.Grant != "", float64(e.Rows)}
		}
	}
	return list
}

// operation judges what e records. What a server expected is not on record; how
// many rows there were is.
func (r *replayed) operation(ctx context.Context, j *judge, start, e *audit.Event, ended end) error {
	was := e.Type == audit.OperationStart
	if !was && e.By != "policy" && e.By != "guardrail" {
		return nil // refused for what no rule says
	}
	res, err := j.resource(start.Resource)
	if err != nil || e.Text == "" || e.TextBytes > 0 {
		if e.Kind == "statement" || e.Kind == "exec" {
			r.Skipped++
		}
		return nil
	}
	var op proxy.Op
	switch e.Kind {
	case "statement":
		op = j.statement(ctx, res, e.Text)
	case "exec":
		op = execOf(e.Text)
	default:
		return nil
	}
	account, _ := res.Account(start.Account)
	if j.at, err = time.Parse(time.RFC3339Nano, e.Time); err != nil {
		return err
	}
	j.given = given{}
	if was {
		j.given.rows = &ended.rows
	}
	v, err := j.ask(ctx, &proxy.Identity{Subject: start.User, Groups: start.Groups}, proxy.Target{Resource: res, Account: account, Database: start.Database}, op)
	if err != nil {
		return err
	}
	r.Operations++
	x := example{start.Session, e.Time, start.User, start.Resource, e.Text, describe(v)}
	switch {
	case was && v.Action == proxy.ActionHold:
		if ended.approved {
			break
		}
		r.Totals.Held++
		if len(r.Held) < maxExamples {
			r.Held = append(r.Held, x)
		}
	case was && v.Refuses():
		r.Totals.Denied++
		if len(r.Denied) < maxExamples {
			r.Denied = append(r.Denied, x)
		}
	case !was && !v.Refuses():
		r.Totals.Allowed++
		if len(r.Allowed) < maxExamples {
			r.Allowed = append(r.Allowed, x)
		}
	}
	return nil
}

func (r *replayed) print(c *cli) {
	fmt.Fprintf(c.out, "%d operations judged again, %d not: of resources that are gone, or not recorded in full\n", r.Operations, r.Skipped)
	show := func(what string, total int, list []example) {
		fmt.Fprintf(c.out, "%d newly %s\n", total, what)
		for _, x := range list {
			fmt.Fprintf(c.out, "  %s  %s at %s: %s\n    %s\n", x.Time, visible(x.User), visible(x.Target), visible(x.Text), x.Answer)
		}
	}
	show("denied", r.Totals.Denied, r.Denied)
	show("held", r.Totals.Held, r.Held)
	show("allowed", r.Totals.Allowed, r.Allowed)
}
