// Package ocsf writes events as the Open Cybersecurity Schema Framework has
// them, version 1.3, for collectors that read it.
//
// What has a class of its own there is of that class; the rest is a base event
// with its type as message. docs/audit.md has the table. What OCSF has no
// attribute for is in unmapped.
package ocsf

import (
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Version is the version of the schema.
const Version = "1.3.0"

// Classes, by class_uid.
const (
	classBase           = 0
	classAuthentication = 3002
	classNetwork        = 4001
	classSSH            = 4007
	classLifecycle      = 6002
	classAPI            = 6003
	classDatastore      = 6005
)

// Activities of the classes.
const (
	other = 99

	logon = 1

	netOpen   = 1
	netClose  = 2
	netReset  = 3
	netFail   = 4
	netRefuse = 5
	netUse    = 6

	appStart = 3
	appStop  = 4

	apiRead   = 2
	apiUpdate = 3
	apiDelete = 4

	dataRead    = 1
	dataUpdate  = 2
	dataConnect = 3
	dataQuery   = 4
	dataWrite   = 5
	dataCreate  = 6
	dataDelete  = 7
)

type event struct {
	ActivityID   int               `json:"activity_id"`
	CategoryUID  int               `json:"category_uid"`
	ClassUID     int               `json:"class_uid"`
	TypeUID      int               `json:"type_uid"`
	Time         int64             `json:"time"`
	SeverityID   int               `json:"severity_id"`
	StatusID     int               `json:"status_id,omitempty"`
	StatusCode   string            `json:"status_code,omitempty"`
	StatusDetail string            `json:"status_detail,omitempty"`
	Duration     int64             `json:"duration,omitempty"`
	Message      string            `json:"message"`
	Metadata     metadata          `json:"metadata"`
	Actor        *actor            `json:"actor,omitempty"`
	User         *user             `json:"user,omitempty"`
	Src          *endpoint         `json:"src_endpoint,omitempty"`
	Dst          *endpoint         `json:"dst_endpoint,omitempty"`
	App          *product          `json:"app,omitempty"`
	Service      *named            `json:"service,omitempty"`
	API          *api              `json:"api,omitempty"`
	Database     *database         `json:"database,omitempty"`
	QueryInfo    *queryInfo        `json:"query_info,omitempty"`
	File         *file             `json:"file,omitempty"`
	Unmapped     map[string]string `json:"unmapped,omitempty"`
}

type metadata struct {
	Version       string  `json:"version"`
	Product       product `json:"product"`
	UID           string  `json:"uid"`
	Correlation   string  `json:"correlation_uid,omitempty"`
	LogName       string  `json:"log_name"`
	EventCode     string  `json:"event_code"`
	OriginalTime  string  `json:"original_time"`
	SequenceIndex uint64  `json:"sequence"`
}

type product struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type named struct {
	Name string `json:"name"`
}

type actor struct {
	User    *user    `json:"user,omitempty"`
	Session *session `json:"session,omitempty"`
	AppName string   `json:"app_name,omitempty"`
}

type user struct {
	Name   string  `json:"name"`
	Groups []named `json:"groups,omitempty"`
}

type session struct {
	UID string `json:"uid"`
}

type endpoint struct {
	Name string `json:"name,omitempty"`
	IP   string `json:"ip,omitempty"`
	Port int    `json:"port,omitempty"`
}

type api struct {
	Operation string `json:"operation"`
}

type database struct {
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
}

type queryInfo struct {
	Text string `json:"query_string"`
	UID  string `json:"uid,omitempty"`
}

type file struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	TypeID int    `json:"type_id"`
}

var sallyport = product{"Sallyport", "Sallyport"}

// Append appends an event as a line. It is an audit.Format.
func Append(b []byte, r audit.Outgoing) []byte {
	var e audit.Event
	if err := json.Unmarshal(r.JSON, &e); err != nil {
		e = audit.Event{Type: r.Type, Error: "the event cannot be read"}
	}
	out, err := json.Marshal(translate(r, &e))
	if err != nil { // a value of these types always encodes
		return r.Append(b)
	}
	return append(append(b, out...), '\n')
}

func translate(r audit.Outgoing, e *audit.Event) *event {
	who := &audit.Event{User: e.User, Groups: e.Groups, Resource: e.Resource, Account: e.Account, Database: e.Database, Protocol: e.Protocol, Remote: e.Remote, For: e.For}
	if r.Start != nil {
		who = r.Start
	}
	o := &event{
		ClassUID: classBase, ActivityID: other, SeverityID: 1, Message: e.Type,
		StatusCode: e.Code, StatusDetail: first(e.Reason, e.Error), Duration: e.Micros / 1000,
		Metadata: metadata{
			Version: Version, Product: sallyport, UID: r.Session + "/" + strconv.FormatUint(r.Index, 10), LogName: "audit",
			EventCode: e.Type, OriginalTime: e.Time, SequenceIndex: r.Index,
		},
	}
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		o.Time = t.UnixMilli()
	}
	if e.Op > 0 {
		o.Metadata.Correlation = r.Session + "/op/" + strconv.FormatUint(e.Op, 10)
	}
	o.classify(e, who)
	o.CategoryUID, o.TypeUID = o.ClassUID/1000, o.ClassUID*100+o.ActivityID
	o.who(r, e, who)
	o.what(e, who)
	o.unmapped(e, who)
	return o
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// Status and severity.
const (
	success = 1
	failure = 2

	low    = 2
	medium = 3
)

// classify chooses class, activity and status.
func (o *event) classify(e *audit.Event, who *audit.Event) {
	class := func(class, activity int) { o.ClassUID, o.ActivityID = class, activity }
	connection := classNetwork
	if who.Protocol == "ssh" {
		connection = classSSH
	}
	switch e.Type {
	case audit.GatewayStart:
		class(classLifecycle, appStart)
	case audit.GatewayStop:
		class(classLifecycle, appStop)
	case "gateway.login":
		class(classAuthentication, logon)
		o.StatusID = success
	case "gateway.login-failed":
		class(classAuthentication, logon)
		o.StatusID, o.SeverityID = failure, low
	case "gateway.session-refused":
		class(connection, netRefuse)
		o.StatusID, o.SeverityID = failure, low
	case "gateway.connection-failed":
		class(connection, netFail)
		o.StatusID = failure
	case "gateway.overload":
		class(connection, netReset)
		o.StatusID, o.SeverityID = failure, medium
	case audit.SessionStart:
		class(connection, netOpen)
		o.StatusID = success
	case audit.SessionEnd, audit.SessionRecovered:
		class(connection, netClose)
		o.StatusID = success
		if e.Error != "" || e.Type == audit.SessionRecovered {
			o.StatusID = failure
		}
	case audit.OperationStart, audit.OperationEnd, audit.OperationRefused:
		o.operation(e, who)
	default:
		if strings.HasPrefix(e.Type, "admin.") {
			class(classAPI, adminActivity(e.Type))
			o.StatusID = success
			if e.Type == audit.AdminRefused {
				o.StatusID, o.SeverityID = failure, low
			}
		}
	}
}

func adminActivity(typ string) int {
	switch typ {
	case audit.AdminList, audit.AdminWatch, audit.AdminRead, audit.AdminExport, audit.AdminDetokenise:
		return apiRead
	case audit.AdminKill:
		return apiDelete
	}
	return apiUpdate
}

func (o *event) operation(e *audit.Event, who *audit.Event) {
	switch who.Protocol {
	case "postgres", "mysql":
		o.ClassUID, o.ActivityID = classDatastore, dataActivity(e)
	case "ssh":
		o.ClassUID, o.ActivityID = classSSH, netUse
	default:
		o.ClassUID, o.ActivityID = classNetwork, netUse
	}
	switch {
	case e.Type == audit.OperationRefused:
		o.StatusID, o.SeverityID = failure, low
	case e.Type == audit.OperationEnd && (e.Error != "" || e.Code != "" && e.Code != "0"):
		o.StatusID = failure
	case e.Type == audit.OperationEnd:
		o.StatusID = success
	}
}

// dataActivity is the gravest that a statement does.
func dataActivity(e *audit.Event) int {
	if e.Kind == "connect" {
		return dataConnect
	}
	has := func(names ...string) bool {
		for effect := range strings.SplitSeq(e.Effects, ",") {
			for _, n := range names {
				if effect == n {
					return true
				}
			}
		}
		return false
	}
	switch {
	case has("delete", "truncate", "drop"):
		return dataDelete
	case has("update", "alter", "grant", "sequence"):
		return dataUpdate
	case has("create"):
		return dataCreate
	case has("insert", "copy-in"):
		return dataWrite
	case has("copy-out"):
		return dataRead
	case e.Type == audit.OperationEnd || has("read"):
		return dataQuery
	}
	return other
}

func (o *event) who(r audit.Outgoing, e, who *audit.Event) {
	u := &user{Name: first(who.User, e.User, "unknown")}
	for _, g := range who.Groups {
		u.Groups = append(u.Groups, named{g})
	}
	a := &actor{User: u, Session: &session{r.Session}}
	src, dst := address(first(who.Remote, e.Remote)), &endpoint{Name: first(who.Resource, "gateway")}
	switch o.ClassUID {
	case classBase:
		return
	case classLifecycle:
		o.App = &sallyport
		return
	case classAuthentication:
		o.User, o.Src, o.Service = u, src, &named{first(who.Protocol, "gateway")}
		return
	case classAPI:
		o.API = &api{e.Type}
		a.Session = nil
	}
	o.Actor, o.Src = a, src
	if o.ClassUID != classAPI {
		o.Dst = dst
	}
}

// address is never empty: every class wants to know where from.
func address(remote string) *endpoint {
	host, port, err := net.SplitHostPort(remote)
	if err != nil || net.ParseIP(host) == nil {
		return &endpoint{Name: first(remote, "local")}
	}
	n, _ := strconv.Atoi(port)
	return &endpoint{IP: host, Port: n}
}

func (o *event) what(e, who *audit.Event) {
	switch o.ClassUID {
	case classDatastore:
		o.Database = &database{Name: first(who.Database, who.Resource, "unknown"), TypeID: 1} // relational
		if e.Text != "" {
			o.QueryInfo = &queryInfo{Text: e.Text, UID: e.Fingerprint}
		}
	case classSSH:
		if e.Kind == "file" && e.Text != "" {
			name := e.Text[strings.LastIndexByte(e.Text, '/')+1:]
			o.File = &file{Name: first(name, e.Text), Path: e.Text, TypeID: 0}
		}
	}
}

// unmapped keeps what the class has no attribute for.
func (o *event) unmapped(e, who *audit.Event) {
	m := map[string]string{}
	put := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	number := func(key string, n uint64) {
		if n > 0 {
			m[key] = strconv.FormatUint(n, 10)
		}
	}
	put("kind", e.Kind)
	if o.QueryInfo == nil && o.File == nil {
		put("text", e.Text)
	}
	put("name", e.Name)
	put("target", e.Target)
	put("account", who.Account)
	put("on_behalf_of", who.For)
	put("effects", e.Effects)
	put("relations", e.Relations)
	put("withheld", e.Withheld)
	put("verdict", e.Verdict)
	put("by", e.By)
	put("rule", e.Rule)
	put("grant", e.Grant)
	put("action", e.Action)
	if o.ClassUID == classAPI {
		put("session", e.Session)
	}
	number("rows", e.Rows)
	number("bytes_in", e.BytesIn)
	number("bytes_out", e.BytesOut)
	for typ, n := range e.Masked {
		number("masked."+typ, n)
	}
	if len(m) > 0 {
		o.Unmapped = m
	}
}
