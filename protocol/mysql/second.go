package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// settled are settings of a session by which its statements may find or leave other rows. They are set on a second connection, too, and a
// session in which what was approved runs must have the same.
var settled = strings.Fields(`sql_mode time_zone collation_connection foreign_key_checks unique_checks sql_safe_updates div_precision_increment
	lc_time_names default_week_format group_concat_max_len max_sort_length`)

// errSilent ends a session whose server does not answer what takes it no time.
var errSilent = errors.New("the server did not answer a question about the session's settings in time")

// second is a connection of the gateway's own to the server of a session, as its account, for one measurement. It is apart from the
// session's transaction and locks, and every question there is bounded in time.
type second struct {
	*upstream
	up      *up
	values  []string // of the session's settings
	ctx     context.Context
	stop    func() bool
	healthy bool // it waits for a command
}

// settledAs asks for what NOW() is to the session, and for the values of settled.
func (u *up) settledAs() (clock string, values []string, err error) {
	rows, err := u.look(clockSQL+", @@SESSION."+strings.Join(settled, ", @@SESSION."), 1)
	switch {
	case err != nil:
		return "", nil, err
	case len(rows) != 1 || len(rows[0]) != 1+len(settled):
		return "", nil, errState
	}
	return rows[0][0], rows[0][1:], nil
}

// second opens it, with the settings that the session has. each is how long one statement may take.
func (u *up) second(ctx context.Context, each time.Duration) (*second, error) {
	asked := time.Now()
	late := context.AfterFunc(ctx, func() { u.session.session.Kill(errSilent) })
	clock, values, err := u.settledAs()
	late()
	if err != nil {
		return nil, err
	}
	up, err := another(ctx, u.session.session, each, u.state.database)
	if err != nil {
		return nil, errors.New("the server cannot be asked on another connection")
	}
	s := &second{upstream: up, up: u, values: values, ctx: ctx, healthy: true}
	s.stop = context.AfterFunc(ctx, func() { up.conn.SetDeadline(past) })
	var list []string
	for i, name := range settled {
		value := values[i]
		if !isNumber([]byte(value)) {
			value = literal(value)
		}
		list = append(list, "SESSION "+name+" = "+value)
	}
	wait := max(1, int(each.Seconds()/3))
	for _, text := range []string{
		"SET " + strings.Join(list, ", "),
		fmt.Sprintf("SET SESSION innodb_lock_wait_timeout = %d, SESSION lock_wait_timeout = %d, character_set_results = utf8mb4", wait, wait),
	} {
		if err := s.ask(text, &look{}); err != nil {
			s.close()
			return nil, err
		}
	}
	if err := s.setClock(clock, asked); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// clockSQL asks for what NOW() is to a session: the server's time, or what the session has set it to.
const clockSQL = "SELECT @@SESSION.timestamp"

// setClock sets what NOW() is there to what it was to the session when that was asked, where it has another time than the server.
func (s *second) setClock(was string, asked time.Time) error {
	l := &look{limit: 1, most: maxLook}
	if err := s.ask(clockSQL, l); err != nil {
		return err
	}
	if len(l.rows) != 1 || len(l.rows[0]) != 1 || !isNumber([]byte(was)) {
		return errState
	}
	then, err1 := strconv.ParseFloat(was, 64)
	now, err2 := strconv.ParseFloat(l.rows[0][0], 64)
	if err1 != nil || err2 != nil {
		return errState
	}
	if apart := now - then; apart >= -1 && apart <= time.Since(asked).Seconds()+1 {
		return nil
	}
	return s.ask("SET SESSION timestamp = "+was, &look{})
}

// ask asks a question there.
func (s *second) ask(text string, l *look) error {
	s.healthy = false
	_, err := s.table(text, l)
	return s.answered(err)
}

// explain returns the server's plan of a statement.
func (s *second) explain(text string) ([]map[string]string, error) {
	s.healthy = false
	plan, err := s.plan(text)
	return plan, s.answered(err)
}

// answered notes whether the server has given a whole answer.
func (s *second) answered(err error) error {
	var se *serverError
	switch {
	case errors.As(err, &se):
		s.healthy = true
		return &answeredError{se.code}
	case err == nil, errors.Is(err, errLong):
		s.healthy = true
		return err
	case s.ctx.Err() != nil:
		return errors.New("it took the server too long")
	}
	return err
}

// close takes back what was done there, and ends the connection. What still runs is ended.
func (s *second) close() {
	if !s.stop() && s.healthy {
		s.healthy = false
	}
	if s.healthy {
		s.conn.SetDeadline(time.Now().Add(time.Second))
		b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
		s.conn.Write(b)
	}
	s.conn.Close()
	if s.healthy {
		return
	}
	// Other than reading, a server may go on with what nobody waits for, and keep its locks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 3*time.Second)
	defer cancel()
	if err := s.up.endUpstream(ctx, s.upstream); err != nil {
		of := s.up.session.session
		of.Gateway().Report(proxy.Event{
			Kind: proxy.EventConnFailed, Protocol: s.up.handler.Protocol(), Remote: of.Remote, Identity: of.Identity, Target: of.Target, Session: of,
			Err: fmt.Errorf("what was measured goes on at the server: %w", publicError(err)),
		})
	}
}
