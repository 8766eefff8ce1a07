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
		Session: "01kg9y", Rules: []string{"dev-reads"}, Method: "password", Address: "192.0.2.1", Until: "2026-01-31T09:31:00.000000Z", Ended: "ended", Count: 3,
	}}}
	if err := r.WriteCSV(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// kind,time,until,duration,user,groups,method,address,resource,account,database,session,rule,by,what,ended,count
	// access,2026-01-31T09:30:00.000000Z,2026-01-31T09:31:00.000000Z,1m0s,alice,dev,password,192.0.2.1,shop,,,01kg9y,dev-reads,,,ended,3
}
