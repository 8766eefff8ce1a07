// Package browsertest drives a browser in tests, and tells what it complains about.
package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/internal/devtool"
)

// patience is how long something may take to be seen.
const patience = time.Minute

// Browser is a tab of a browser that has no cookies and no history of others.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// names are those of the browsers that are looked for.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Open starts a browser. The test is skipped where there is none, unless it runs where none may be missing. At its end it fails
// if the browser has complained about a page: by its policy, or about a script.
func Open(t testing.TB) *Browser {
	t.Helper()
	program := ""
	for _, name := range names {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no browser is installed: install chromium")
		}
		t.Skip("no browser is installed: install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true), // the gateway's own authority
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en-US"))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(ctx)
	b := &Browser{t: t, ctx: ctx}
	b.must(chromedp.Listen(ctx, b.hear))
	t.Cleanup(func() {
		leave()
		stop()
		for _, c := range b.Complaints() {
			t.Errorf("the browser complains: %s", c)
		}
	})
	b.Size(1280, 800, 1)
	return b
}

func (b *Browser) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// do runs an action.
func do[T any](b *Browser, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	b.must(err)
	return v
}

func call[P, R any](b *Browser, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	return do(b, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
}

// hear notes what the browser complains about. Refusals of the API are not counted.
func (b *Browser) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			text = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// Complaints are those that there were, and forgets them.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.complaints
	b.complaints = nil
	return all
}

// Go opens an address.
func (b *Browser) Go(url string) { b.t.Helper(); do(b, chromedp.Navigate(url)) }

// Size is that of the page, in its own pixels, and how large these are.
func (b *Browser) Size(width, height int64, scale float64) {
	b.t.Helper()
	do(b, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
}

// Prefer sets a preference of the browser's user, such as "prefers-color-scheme" to "dark".
func (b *Browser) Prefer(feature, value string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: value}}})
}

// Eval runs a script that returns true.
func (b *Browser) Eval(script string) { b.t.Helper(); Eval[bool](b, script) }

// Eval returns what a script returns.
func Eval[T any](b *Browser, script string) T {
	b.t.Helper()
	return do(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Until waits until a script returns true.
func (b *Browser) Until(what, script string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+script+")", chromedp.EvalAwaitPromise))
		cancel()
		if is && err == nil { // an error is of a page that is left at that moment
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s is not seen; the page at %s shows:\n%s", what, Eval[string](b, "location.href"), Eval[string](b, "document.body.innerText"))
		}
	}
}

//go:embed find.js
var findScript string

// find is a script that returns the element that can be seen which people would call so: by its role, and its name or text.
func find(role, name string) string {
	r, _ := json.Marshal(role)
	n, _ := json.Marshal(name)
	return fmt.Sprintf("(%s)(%s, %s)", strings.TrimSpace(findScript), r, n)
}

// Sees waits until the page shows a text.
func (b *Browser) Sees(text string) {
	b.t.Helper()
	q, _ := json.Marshal(text)
	b.Until(fmt.Sprintf("%q", text), "document.body.innerText.replace(/\\s+/g, ' ').includes("+string(q)+")")
}

// SeesNot waits until the page does not show a text.
func (b *Browser) SeesNot(text string) {
	b.t.Helper()
	q, _ := json.Marshal(text)
	b.Until(fmt.Sprintf("the end of %q", text), "!document.body.innerText.replace(/\\s+/g, ' ').includes("+string(q)+")")
}

// Has waits until something of a role and a name is there.
func (b *Browser) Has(role, name string) {
	b.t.Helper()
	b.Until(role+" "+name, find(role, name))
}

// Click presses something by the mouse's button.
func (b *Browser) Click(role, name string) {
	b.t.Helper()
	b.Has(role, name)
	at := Eval[[]float64](b, `(() => { const e = `+find(role, name)+`; e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
	do(b, chromedp.MouseClickXY(at[0], at[1]))
}

// Fill puts a text in the place of what a field holds.
func (b *Browser) Fill(label, text string) {
	b.t.Helper()
	b.Has("field", label)
	Eval[bool](b, "(() => { const e = "+find("field", label)+"; e.focus(); e.select?.(); return true; })()")
	if text == "" {
		b.Press(kb.Delete)
		return
	}
	b.Type(text)
}

// Type types a text where the focus is.
func (b *Browser) Type(text string) { b.t.Helper(); do(b, chromedp.KeyEvent(text)) }

// Press presses keys, such as those of package kb.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	do(b, chromedp.KeyEvent(keys, func(p *input.DispatchKeyEventParams) {
		if p.Text > " " { // a key that opens a field does not write into it
			p.Text = ""
		}
	}))
}

// Control presses a key together with Ctrl.
func (b *Browser) Control(key string) {
	b.t.Helper()
	do(b, chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl), func(p *input.DispatchKeyEventParams) { p.Text = "" }))
}

// Shot takes a picture of the page and keeps it as a file, when there is a folder for pictures: the environment's SHOTS.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	dir := os.Getenv("SHOTS")
	if dir == "" {
		return
	}
	b.must(os.MkdirAll(dir, 0o755))
	b.must(os.WriteFile(filepath.Join(dir, name+".png"), do(b, chromedp.CaptureScreenshot()), 0o644))
}

// settled waits for what moves to have come: colours in between are not what people read. What never ends, such as a cursor, is not
// waited for.
const settled = `Promise.all(document.getAnimations().filter((a) => Number.isFinite(a.effect.getComputedTiming().endTime)).map((a) => a.finished.catch(() => {})))`

// Accessible fails the test when axe finds something on the page that keeps people out, by WCAG 2.2 AA.
func (b *Browser) Accessible(where string) {
	b.t.Helper()
	if !Eval[bool](b, "!!window.axe") {
		Eval[bool](b, axe(b.t)+"; true")
	}
	found := Eval[[]struct {
		ID    string   `json:"id"`
		Help  string   `json:"help"`
		Nodes []string `json:"nodes"`
	}](b, settled+`.then(() => axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})).then((r) => r.violations.map((v) => ({
		id: v.id, help: v.help, nodes: v.nodes.map((n) => n.target.join(" ") + ": " + n.html.slice(0, 200) + " " + (n.any[0]?.message ?? n.all[0]?.message ?? ""))})))`)
	for _, v := range found {
		b.t.Errorf("%s: axe: %s: %s\n  %s", where, v.ID, v.Help, strings.Join(v.Nodes, "\n  "))
	}
}

// Narrow fails the test when the page scrolls sideways.
func (b *Browser) Narrow(where string) {
	b.t.Helper()
	if over := Eval[float64](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
		b.t.Errorf("%s: the page is %g px wider than the window: %s", where, over, Eval[string](b, `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".rows, pre")).slice(0, 3).map((e) => e.outerHTML.slice(0, 160)).join("\n")`))
	}
}

var (
	axeOnce sync.Once
	axeText string
)

func axe(t testing.TB) string {
	t.Helper()
	axeOnce.Do(func() {
		file := filepath.Join(devtool.Modules(t), "axe-core", "axe.min.js")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		axeText = string(text)
	})
	return axeText
}

// Scripting is how much CPU time scripts of the page have taken since its beginning.
func (b *Browser) Scripting() time.Duration {
	b.t.Helper()
	call(b, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	for _, m := range call(b, performance.GetMetrics, cdp.Empty{}).Metrics {
		if m.Name == "ScriptDuration" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	b.t.Fatal("the browser does not measure what scripts take")
	return 0
}

// Unheard has the browser not tell any more what goes over the network. Where that is much, telling it costs more than the page itself.
func (b *Browser) Unheard() {
	b.t.Helper()
	call(b, network.Disable, cdp.Empty{})
}

// Heap is how many bytes the page's scripts hold, once what they do not need is gone: objects, and the contents of buffers.
func (b *Browser) Heap() (objects, buffers float64) {
	b.t.Helper()
	call(b, heapprofiler.CollectGarbage, cdp.Empty{})
	use := call(b, runtime.GetHeapUsage, cdp.Empty{})
	return use.UsedSize, use.BackingStorageSize
}

// Downloads has the browser keep what pages save in the directory that it returns, under the names that they ask for.
func (b *Browser) Downloads() string {
	b.t.Helper()
	dir := b.t.TempDir()
	call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	return dir
}

// Page is the browser's page, for what is not here.
func (b *Browser) Page() context.Context { return b.ctx }

// Script runs a script before those of every page that is opened from now on.
func (b *Browser) Script(source string) {
	b.t.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
}
