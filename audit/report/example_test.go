package report_test

import (
	"fmt"
	"os"
	"time"

	"github.com/sallyport/sallyport/audit/report"
)

func ExampleReport_WriteCSV() {
	days, err := report.Days("2026-01-01", "2026-01-31", time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	// report.Read gathers the entries from an audit.Archive.
	r := report.Report{Period: days, Entries: []report.Entry{{
		Kind: report.Access, Time: "2026-01-31T09:30:00.000000Z", User: "alice", Groups: []string{"dev"}, Resource: "shop",
		Session: "01kg9y", Rules: []string{"dev-reads"}, What: "session by password from 192.0.2.1:50000", Operations: 3,
	}}}
	if err := r.WriteCSV(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// kind,time,user,groups,resource,account,database,session,rule,by,what,count
	// access,2026-01-31T09:30:00.000000Z,alice,dev,shop,,,01kg9y,dev-reads,,session by password from 192.0.2.1:50000,3 operations
}
