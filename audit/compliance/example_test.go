package compliance_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/compliance"
	"github.com/sallyport/sallyport/audit/report"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	log, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	archive, err := audit.OpenArchive(dir)
	if err != nil {
		panic(err)
	}

	framework, err := compliance.Find("soc2")
	if err != nil {
		panic(err)
	}
	src := compliance.Source{Archive: archive, Sign: log.SignEvidence}
	now := time.Now()
	pack, err := src.Gather(context.Background(), framework, report.Period{From: now.Add(-time.Hour), To: now.Add(time.Hour)}, now, nil)
	if err != nil {
		panic(err)
	}
	defer pack.Close()
	var file bytes.Buffer
	if err := pack.Write(&file); err != nil {
		panic(err)
	}

	public, err := os.ReadFile(filepath.Join(dir, "log", "key.pub")) // an auditor has her own copy
	if err != nil {
		panic(err)
	}
	found, err := compliance.Verify(bytes.NewReader(file.Bytes()), int64(file.Len()), strings.TrimSpace(string(public)))
	if err != nil {
		panic(err)
	}
	fmt.Println(found.Manifest.Title, len(found.Problems))
	// Output: SOC 2, Trust Services Criteria 2017 0
}
