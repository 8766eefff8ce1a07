package jira

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/service"
)

// Bounds of texts, in characters.
const (
	maxSummary = 250 // Jira takes 255
	maxFact    = 2000
)

// summary is the title of an issue. It is plain text in Jira.
func summary(of *review.Notice) string {
	return service.Shorten(strings.ToUpper(of.Sort()[:1])+of.Sort()[1:]+" "+of.Subject()+": "+of.Headline(), maxSummary)
}

// marker ends a part in which nothing is mark-up.
var marker = regexp.MustCompile(`(?i)\{(noformat)`)

// verbatim are lines in which nothing is mark-up: no mention, no link, no image.
func verbatim(lines string) string {
	return "{noformat}\n" + strings.TrimRight(marker.ReplaceAllString(lines, "{ $1"), "\n") + "\n{noformat}\n"
}

// facts are what a notice says of a request, as lines.
func (n *Notifier) facts(of *review.Notice) string {
	var b strings.Builder
	for _, f := range of.Facts(n.config.Details) {
		value := service.Shorten(f.Value, maxFact)
		if f.Written {
			value = "“" + value + "”"
		}
		fmt.Fprintf(&b, "%-13s %s\n", f.Name, value)
	}
	if n.config.Command != nil {
		fmt.Fprintf(&b, "%-13s %s\n", "look at it", n.config.Command(of.Subject()))
	}
	return b.String()
}

// link is where the request is shown. It is the gateway's own text.
func (n *Notifier) link(of *review.Notice) string {
	if n.config.Link == nil {
		return ""
	}
	return n.config.Link(of.Subject()) + "\n"
}

// description is that of an issue.
func (n *Notifier) description(of *review.Notice) string {
	return verbatim(of.Headline()+"\n\n"+n.facts(of)) + n.link(of)
}

// news are a comment about what has become of a request: all of it, while others decide, since it may be less than what was asked for.
func (n *Notifier) news(of *review.Notice) string {
	if of.Request.State == review.Pending {
		return n.description(of)
	}
	text := of.Headline()
	if of.Request.Reason != "" {
		for _, f := range of.Facts(false) {
			if f.Name == "decision" {
				text += ": “" + service.Shorten(f.Value, maxFact) + "”"
			}
		}
	}
	return verbatim(text)
}
