package console_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/browsertest"
)

// maxHeap is how many bytes a page holds with a million rows.
const maxHeap = 300 << 20

// TestMillionRows: a page holds a million rows of 20 columns within its budget, and shows any of them at once.
func TestMillionRows(t *testing.T) {
	h := workshop(t)
	b := h.browser(t, "alice")
	b.Go(h.url + "/connections/shop/sql")
	b.Sees("no transaction")
	b.Eval(`(document.querySelector(".cm-content").focus(), true)`)
	b.Control("a")
	var columns []string
	for i := range 10 {
		columns = append(columns, fmt.Sprintf("i * %d AS n%d, 'text ' || i + %d AS t%d", i+1, i, i, i))
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM generate_series(1, 1000000) i"
	b.Type(sql)
	b.Press(kb.Escape)
	b.Click("button", "Run")
	b.Sees("there are more")
	b.Unheard()
	begun := time.Now()
	b.Click("button", "A million more")
	require.Eventually(t, func() bool { return browsertest.Eval[bool](b, `document.body.innerText.includes("1,000,000 rows")`) }, 8*time.Minute, 500*time.Millisecond)
	took := time.Since(begun)
	objects, buffers := b.Heap()
	begun = time.Now()
	direct := h.psql(t, "alice", "shop").Exec(t.Context(), sql)
	for direct.NextResult() {
		for rows := direct.ResultReader(); rows.NextRow(); {
			_ = rows.Values()
		}
	}
	require.NoError(t, direct.Close())
	t.Logf("a client that only reads through the gateway has %.0f rows per second", 1e6/time.Since(begun).Seconds())
	t.Logf("%.0f rows per second; %.0f MiB of objects, %.0f MiB of buffers", 1e6/took.Seconds(), objects/(1<<20), buffers/(1<<20))
	require.LessOrEqual(t, objects+buffers, float64(maxHeap))
	require.LessOrEqual(t, browsertest.Eval[int](b, `document.querySelectorAll(".grid-row").length`), 120, "rows on the page")
	b.Eval(`(document.querySelector(".grid").scrollTop = 1e9, true)`)
	b.Sees("text 1000009")
	b.Eval(`(document.querySelector(".grid").scrollTop = 500000 * 24, true)`)
	b.Sees("text 500009")
	b.Eval(`(document.querySelector(".grid").scrollTop = 0, true)`)
	b.Sees("text 9")
	require.Less(t, browsertest.Eval[float64](b, `new Promise((done) => {
		const box = document.querySelector(".grid"); let n = 0, from = performance.now();
		const step = () => { box.scrollTop = (n * 7919 % 1000) * 24000; if (++n < 100) requestAnimationFrame(step); else done((performance.now() - from) / n); };
		requestAnimationFrame(step);
	})`), 250.0, "milliseconds for a frame, wherever one goes in the rows")
	again, _ := b.Heap()
	require.LessOrEqual(t, again, float64(maxHeap), "after all parts were looked at")
}

// percentile is the value that so many of 100 are not above.
func percentile(list []float64, of int) float64 {
	slices.Sort(list)
	return list[(len(list)*of+99)/100-1]
}

// echoes are how many milliseconds strokes take from a client of ssh through the gateway to the machine and back.
func (h *house) echoes(t *testing.T, strokes int) (all []float64) {
	t.Helper()
	c, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
		User: "alice+vm1", Auth: []gossh.AuthMethod{gossh.Password("wonder")}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: time.Minute, // the gateway is this test's own
	})
	require.NoError(t, err)
	defer c.Close()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm-256color", 40, 120, gossh.TerminalModes{}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Shell())
	fmt.Fprint(in, "echo re''ady; exec cat > /dev/null\r")
	text, b := "", make([]byte, 4096)
	for !strings.Contains(text, "ready\r\n") {
		n, err := out.Read(b)
		require.NoError(t, err, text)
		text += string(b[:n])
	}
	for i := range strokes {
		begun := time.Now()
		_, err := in.Write([]byte{byte('a' + i%26)})
		require.NoError(t, err)
		_, err = out.Read(b)
		require.NoError(t, err)
		all = append(all, float64(time.Since(begun).Microseconds())/1000)
	}
	return all
}

// TestKeystrokeEcho: what is typed in a terminal of the console is back in the browser as soon as it is with ssh through the gateway, twice that at most,
// and is on the page with the next frame. Both renderers show it.
func TestKeystrokeEcho(t *testing.T) {
	const strokes = 150
	h := workshop(t)
	for _, renderer := range []string{"dom", "webgl"} {
		t.Run(renderer, func(t *testing.T) {
			b := browsertest.Open(t)
			b.Script(`{
				if (` + strconv.FormatBool(renderer == "dom") + `) {
					const get = HTMLCanvasElement.prototype.getContext;
					HTMLCanvasElement.prototype.getContext = function (kind, ...more) { return /webgl/.test(kind) ? null : get.call(this, kind, ...more); };
				}
				window.came = () => {};
				const on = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
				Object.defineProperty(WebSocket.prototype, "onmessage", { set(f) { on.set.call(this, (e) => { f(e); if (typeof e.data !== "string") window.came(performance.now()); }); } });
			}`)
			b.Go(h.url + "/")
			h.signIn(b, "alice")
			b.Go(h.url + "/terminal?open=vm1")
			b.Sees("connected")
			b.Until("the renderer "+renderer, `document.querySelector(".place [data-renderer]")?.dataset.renderer === "`+renderer+`"`)
			alice := h.as(t, "alice")
			id := alice.sessionOf(t, "vm1")
			typeIn(b, "clear; echo re''ady; exec cat > /dev/null\r")
			require.Eventually(t, func() bool { return strings.Contains(alice.shown(t, id), "ready") }, 30*time.Second, 20*time.Millisecond)
			b.Unheard()
			const refresh = 1000.0 / 60 // in which a terminal of ssh draws, too
			within := false
			for round := 0; round < 3 && !within; round++ { // others work on the machine, too
				direct := h.echoes(t, strokes)
				type echo struct{ Back, Frame float64 }
				list := browsertest.Eval[[]echo](b, fmt.Sprintf(`new Promise(async (done) => {
					const t = document.querySelector(".place textarea"), all = [];
					t.focus();
					for (let i = 0; i < %d; i++) {
						const c = String.fromCharCode(97 + i %% 26), back = new Promise((r) => { window.came = r; }), from = performance.now();
						t.dispatchEvent(new KeyboardEvent("keypress", {key: c, charCode: c.charCodeAt(0), bubbles: true, cancelable: true}));
						const at = await back;
						await new Promise(requestAnimationFrame);
						all.push({Back: at - from, Frame: performance.now() - from});
						await new Promise((r) => setTimeout(r, 30 + i * 7 %% 31)); // people do not type with the frames
					}
					done(all);
				})`, strokes))
				var back, frame []float64
				for _, e := range list {
					back, frame = append(back, e.Back), append(frame, e.Frame)
				}
				ssh, here := percentile(direct, 95), percentile(back, 95)
				t.Logf("95 of 100 strokes are back within %.1f ms by ssh, and %.1f ms in the browser; half within %.1f and %.1f ms; 95 are on the page within %.1f ms", ssh, here, percentile(direct, 50), percentile(back, 50), percentile(frame, 95))
				within = percentile(frame, 95) <= 2*(ssh+refresh)
			}
			require.True(t, within, "95 of 100 strokes are on the page within twice the time of ssh and a frame")
			b.Shot("echo-" + renderer)
		})
	}
}
