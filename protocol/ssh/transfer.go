package ssh

import (
	"errors"

	"github.com/sallyport/sallyport/proxy"
)

// Transfer is a command that does nothing but copy: its standard streams are
// the content of files, in a form of its own.
type Transfer struct {
	// Reads and Writes say which way files go; one of them is set.
	Reads, Writes bool
	// Paths are the files and folders, as the command line names them: relative to
	// the account's home, or patterns of the shell's.
	Paths []string
	// SFTP says that the command is an SFTP server, whose every access is judged;
	// nothing else is set then.
	SFTP bool
}

// transferOf returns what e copies, if that is all that it does.
func (h *Handler) transferOf(e *proxy.Exec) (Transfer, bool) {
	switch {
	case e.Kind == proxy.KindSubsystem:
		return Transfer{SFTP: true}, e.Command == "sftp"
	case e.Kind == proxy.KindExec && h.Grammar != nil:
		return h.Grammar.Transfer(e.Command)
	}
	return Transfer{}, false
}

// Operations returns what a session asks about besides e itself when e runs: the
// files that it copies. They are to be asked once e is allowed, as it then is.
func (h *Handler) Operations(e *proxy.Exec) []*proxy.File {
	t, _ := h.transferOf(e)
	action := proxy.FileOpenRead
	if t.Writes {
		action = proxy.FileOpenWrite
	}
	var list []*proxy.File
	for _, path := range t.Paths {
		list = append(list, &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile, Parent: e.ID}, Action: action, Path: path})
	}
	return list
}

var errFileRefused = errors.New("access to a file was refused")

// askFiles asks for the files that the channel's command copies, in addition to the
// command itself: with rules that allow commands and no files, scp does not run.
// When one is refused, the command is told as done.
func (ch *channel) askFiles(e *proxy.Exec) *proxy.Verdict {
	t, ok := ch.session.handler.transferOf(e)
	ch.moves, ch.sftp = ok && !t.SFTP, ok && t.SFTP
	for _, op := range ch.session.handler.Operations(e) {
		if v := ch.session.ask(ch.startCtx, ch, op); v.Refuses() {
			ch.doneFiles(&proxy.Outcome{Err: errFileRefused})
			ch.session.proxied.Done(e, &proxy.Outcome{Err: errFileRefused})
			return v
		}
		ch.moved = append(ch.moved, op)
	}
	return nil
}

// doneFiles tells how the files that the channel's command copies fared. How
// much of each was copied is known when it is one.
func (ch *channel) doneFiles(out *proxy.Outcome) {
	for _, op := range ch.moved {
		each := *out
		if len(ch.moved) > 1 {
			each.BytesIn, each.BytesOut = 0, 0
		}
		ch.session.proxied.Done(op, &each)
	}
	ch.moved = nil
}
