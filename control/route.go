package control

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
)

// access says who may use a route. The zero value is everybody who is known.
type access struct {
	// open is for those who are not known yet.
	open bool
	// login is for those who have logged in, and not for what a login was given: a
	// certificate, an access token.
	login bool
	// personal is for people among them, and not for services.
	personal bool
	// permission is needed for what is others'.
	permission Permission
	// own lets those without the permission in: the route shows and does what is theirs.
	own bool
}

// route is one address of the API: how it is served and what documents say of it.
type route struct {
	method, path string
	about        string
	action       string // names it in the record of a refusal
	access       access
	in, out      any // a value of the body's type; nil: there is none
	stream       bool
	do           func(h *Handler, c *call) error
}

// routes are all of the API, in the order of documents.
func routes() []route {
	return []route{
		{"GET", "/v1/server", "What a client needs to know before it logs in.", "", access{open: true}, nil, Server{}, false, (*Handler).showServer},
		{"GET", "/v1/openapi.json", "This description.", "", access{open: true}, nil, map[string]any{}, false, (*Handler).showOpenAPI},
		{"POST", "/v1/login", "Log a local user in by a password, with a code where she has set up a second factor. No answer says which was wrong, or that a code is missing. Providers' users log in below /auth/.", audit.AdminLogin, access{open: true}, Password{}, Login{}, false, (*Handler).login},
		{"POST", "/v1/logout", "End the login, and revoke what it was given.", audit.AdminLogout, access{}, nil, Done{}, false, (*Handler).logout},
		{"GET", "/v1/whoami", "Who the caller is, and what she may do here.", "", access{}, nil, Me{}, false, (*Handler).whoami},
		{"GET", "/v1/known-hosts", "The keys by which SSH clients know the gateway, as they read them.", "", access{}, nil, KnownHosts{}, false, (*Handler).knownHosts},
		{"POST", "/v1/credentials", "Certify a key of the caller's for TLS and SSH.", audit.AdminCredential, access{login: true}, CredentialRequest{}, Credential{}, false, (*Handler).certify},

		{"GET", "/v1/me/factors", "How the caller, a local user, proves herself.", audit.AdminFactor, access{login: true, personal: true}, nil, Factors{}, false, (*Handler).showFactors},
		{"POST", "/v1/me/password", "Choose another password. It asks for the one before, and ends the caller's other logins.", audit.AdminFactor, access{login: true, personal: true}, PasswordRequest{}, Ended{}, false, (*Handler).changePassword},
		{"POST", "/v1/me/totp", "Begin to set up codes of an app as a second factor. It asks for the password, and its secret is shown once.", audit.AdminFactor, access{login: true, personal: true}, Again{}, NewFactor{}, false, (*Handler).addTOTP},
		{"POST", "/v1/me/totp/confirm", "Have it count, by a code of it. Recovery codes are shown once, and the caller's other logins end.", audit.AdminFactor, access{login: true, personal: true}, CodeRequest{}, Enrolled{}, false, (*Handler).confirmTOTP},
		{"POST", "/v1/me/totp/remove", "Take the second factor away. It asks for the password and a code.", audit.AdminFactor, access{login: true, personal: true}, Again{}, Done{}, false, (*Handler).removeTOTP},
		{"POST", "/v1/me/recovery-codes", "Have other recovery codes in place of those before. It asks for the password and a code.", audit.AdminFactor, access{login: true, personal: true}, Again{}, RecoveryCodes{}, false, (*Handler).renewRecovery},
		{"POST", "/v1/me/logout", "End all logins of the caller, this one too, and what they were given. Her access tokens go on.", audit.AdminLogout, access{login: true, personal: true}, nil, LoggedOut{}, false, (*Handler).logoutAll},
		{"POST", "/v1/me/prove", "Prove oneself again, by a code, or by the password where no second factor is set up: the age of the login begins anew.", audit.AdminFactor, access{login: true, personal: true}, Again{}, ProvenAgain{}, false, (*Handler).prove},

		{"GET", "/v1/resources", "The resources that the caller may connect to.", "", access{}, nil, ResourceList{}, false, (*Handler).listResources},
		{"GET", "/v1/resources/{name}", "One of them.", "", access{}, nil, Resource{}, false, (*Handler).showResource},
		{"GET", "/v1/resources/{name}/terms", "On what terms the caller may ask for access to a resource.", "", access{}, nil, TermsList{}, false, (*Handler).showTerms},
		{"POST", "/v1/can", "What the gateway would answer. Nothing is done.", "", access{}, Question{}, Answer{}, false, (*Handler).can},

		{"GET", "/v1/resources/{name}/terminal", "A terminal there, over a WebSocket. The frames are in docs/console.md.", "", access{login: true}, nil, nil, true, (*Handler).serveTerminal},
		{"GET", "/v1/resources/{name}/files", "Files to and from a machine there, over a WebSocket. The frames are in docs/console.md.", "", access{login: true}, nil, nil, true, (*Handler).serveFiles},
		{"GET", "/v1/resources/{name}/database", "A session at the database there, over a WebSocket. The frames are in docs/console.md.", "", access{login: true}, nil, nil, true, (*Handler).serveDatabase},

		{"GET", "/v1/sessions", "The open sessions; without the permission, the caller's own.", audit.AdminList, access{permission: List, own: true}, nil, Sessions{}, false, (*Handler).listSessions},
		{"GET", "/v1/sessions/{id}", "One of them.", audit.AdminList, access{permission: List, own: true}, nil, Session{}, false, (*Handler).showSession},
		{"POST", "/v1/sessions/{id}/kill", "End a session; without the permission, one's own.", audit.AdminKill, access{permission: Kill, own: true}, KillRequest{}, Session{}, false, (*Handler).killSession},
		{"POST", "/v1/sessions/{id}/message", "Write to the user of a session: at terminals it is shown at once, elsewhere with the next answer.", audit.AdminMessage, access{permission: Kill}, MessageRequest{}, Messaged{}, false, (*Handler).messageSession},
		{"POST", "/v1/sessions/{id}/freeze", "Have a session wait, what is typed and asked and what is answered, until unfreeze. Its user is told.", audit.AdminFreeze, access{permission: Kill}, FreezeRequest{}, Session{}, false, (*Handler).freezeSession},
		{"POST", "/v1/sessions/{id}/unfreeze", "Have a session go on that was frozen.", audit.AdminThaw, access{permission: Kill}, FreezeRequest{}, Session{}, false, (*Handler).thawSession},
		{"GET", "/v1/sessions/{id}/watch", "Its record while it is written, an event per line.", audit.AdminWatch, access{permission: Watch}, nil, nil, true, (*Handler).watchSession},
		{"GET", "/v1/recordings", "Sessions that are on record, the newest first: ?user= group= resource= account= database= protocol= since= until= kind= verdict= rule= effect= table= masked= text= limit=; without the permission, the caller's own. Texts need the permission watch.", audit.AdminRead, access{permission: List, own: true}, nil, Recordings{}, false, (*Handler).searchRecordings},
		{"GET", "/v1/recordings/{id}", "One of them, with what was asked in it: ?skip=NUMBER; without the permission, one's own, and others' without what was asked for those who may list sessions.", audit.AdminRead, access{permission: Watch, own: true}, nil, Recording{}, false, (*Handler).showRecording},
		{"GET", "/v1/recordings/{id}/shown", "What a terminal or a command of it has shown, with the times: a line per piece, the last with end; ?op=NUMBER.", audit.AdminRead, access{permission: Watch, own: true}, nil, nil, true, (*Handler).showRecorded},
		{"GET", "/v1/recordings/{id}/find", "Where a text was shown: ?text=&op=NUMBER.", audit.AdminRead, access{permission: Watch, own: true}, nil, Hits{}, false, (*Handler).findRecorded},
		{"GET", "/v1/recordings/{id}/text", "What was shown, as plain text: ?op=NUMBER.", audit.AdminRead, access{permission: Watch, own: true}, nil, nil, true, (*Handler).saveText},
		{"GET", "/v1/recordings/{id}/cast", "The recording of a terminal as an asciicast of version 3: ?op=NUMBER.", audit.AdminRead, access{permission: Watch, own: true}, nil, nil, true, (*Handler).saveCast},
		{"GET", "/v1/recordings/{id}/rows", "Recorded rows as CSV: ?op=NUMBER.", audit.AdminRead, access{permission: Watch, own: true}, nil, nil, true, (*Handler).saveRows},
		{"GET", "/v1/recordings/{id}/proof", "Whether its record is proven to be whole and as it was sealed.", audit.AdminRead, access{permission: Watch, own: true}, nil, SessionProof{}, false, (*Handler).proveRecording},
		{"GET", "/v1/dashboard", "Sessions on record of a time, in equal parts and by resource: ?since= until=, of at most 92 days and 20,000 sessions; what this gateway has measured since it began; with the permission configure, when certificates expire.", audit.AdminRead, access{permission: List}, nil, Dashboard{}, false, (*Handler).showDashboard},
		{"GET", "/v1/events", "What the gateway has recorded of itself, the newest first: ?type= user= text= since= until= limit=.", audit.AdminRead, access{permission: Audit}, nil, Events{}, false, (*Handler).listEvents},
		{"GET", "/v1/compliance/frameworks", "The frameworks that packs of evidence are made for, with their controls.", audit.AdminRead, access{permission: Audit}, nil, FrameworkList{}, false, (*Handler).listFrameworks},
		{"GET", "/v1/compliance/export", "A pack of evidence for a framework and a period, as a ZIP file: ?framework= since= until=, the times as RFC 3339 has them. It needs the permission list, too.", audit.AdminExport, access{permission: Audit}, nil, nil, true, (*Handler).exportEvidence},
		{"POST", "/v1/sessions/{id}/erase", "Destroy what is recorded of a session.", audit.AdminErase, access{permission: Erase}, ReasonRequest{}, Done{}, false, onRecord((*audit.Log).Erase)},
		{"POST", "/v1/sessions/{id}/hold", "Keep a recorded session from being erased.", audit.AdminHold, access{permission: Hold}, ReasonRequest{}, Done{}, false, onRecord((*audit.Log).Hold)},
		{"POST", "/v1/sessions/{id}/release", "End what hold began.", audit.AdminRelease, access{permission: Hold}, ReasonRequest{}, Done{}, false, onRecord((*audit.Log).Release)},

		{"GET", "/v1/live", "The open sessions and the requests that the caller sees, and what changes of them, as server-sent events: hello, sessions, requests, end.", audit.AdminList, access{login: true}, nil, nil, true, (*Handler).live},

		{"POST", "/v1/requests", "Ask for access to a resource, by extends for more time, or in an emergency take it without an approval.", audit.AdminAsk, access{}, AccessRequest{}, review.Request{}, false, (*Handler).askAccess},
		{"GET", "/v1/requests", "The operations that wait for a decision, and access that is asked for or granted (?past=true: or was); without the permission, the caller's own and those that she may decide about.", audit.AdminRequests, access{permission: Review, own: true}, nil, Requests{}, false, (*Handler).listRequests},
		{"GET", "/v1/requests/{id}", "One of them, or one that was decided recently.", audit.AdminRequests, access{permission: Review, own: true}, nil, review.Request{}, false, (*Handler).showRequest},
		{"POST", "/v1/requests/{id}/approve", "Let it run. At the local socket a user's password says who decides; elsewhere the caller does.", audit.AdminDecide, access{permission: Review, own: true}, decisionBody{}, review.Request{}, false, (*Handler).approveRequest},
		{"POST", "/v1/requests/{id}/deny", "Refuse it, with a reason.", audit.AdminDecide, access{permission: Review, own: true}, decisionBody{}, review.Request{}, false, (*Handler).denyRequest},
		{"POST", "/v1/requests/{id}/reveal", "Read what is masked of it, as one of its approvers, where its rules allow that.", audit.AdminDecide, access{permission: Review, own: true}, decisionBody{}, review.Request{}, false, (*Handler).revealRequest},

		{"POST", "/v1/requests/{id}/edit", "Change a request for access of one's own that waits. What only narrows it keeps its approvals; anything else is approved anew.", audit.AdminAsk, access{permission: Review, own: true}, RequestChange{}, review.Request{}, false, (*Handler).editRequest},
		{"POST", "/v1/requests/{id}/propose", "Say what one would grant in its place, with a reason. It counts when the requester has accepted it and approvers have approved it.", audit.AdminDecide, access{permission: Review, own: true}, decisionBody{}, review.Request{}, false, (*Handler).proposeRequest},
		{"POST", "/v1/requests/{id}/accept", "Make a request of one's own what an approver has proposed.", audit.AdminAsk, access{permission: Review, own: true}, AcceptRequest{}, review.Request{}, false, (*Handler).acceptRequest},
		{"POST", "/v1/requests/{id}/cancel", "Withdraw a request for access of one's own; what was granted ends.", audit.AdminDecide, access{permission: Review, own: true}, ReasonRequest{}, review.Request{}, false, (*Handler).cancelRequest},
		{"POST", "/v1/requests/{id}/revoke", "Take back access that was granted; the sessions end that are open by it.", audit.AdminDecide, access{permission: Review, own: true}, ReasonRequest{}, review.Request{}, false, (*Handler).revokeRequest},
		{"POST", "/v1/requests/{id}/review", "Say of access without an approval, which has ended, that it was in order, or a violation, and why. Who decides is known as for approve.", audit.AdminDecide, access{permission: Review, own: true}, reviewBody{}, review.Request{}, false, (*Handler).reviewRequest},

		{"GET", "/v1/runbooks", "The runbooks of all sources, also those that cannot be read.", "", access{}, nil, RunbookList{}, false, withRunbooks((*Handler).listRunbooks)},
		{"GET", "/v1/runbooks/{source}/{name}", "One of them, with the JSON Schema of its values and the resources that it may run on.", "", access{}, nil, RunbookDetail{}, false, withRunbooks((*Handler).showRunbook)},
		{"POST", "/v1/runbooks/plan", "What a run would do, where, and what the rules say of its steps. Nothing is done.", "", access{}, RunRequest{}, RunPlan{}, false, withRunbooks((*Handler).planRun)},
		{"POST", "/v1/runbooks/values", "Values that a parameter may have, by the query of its values_from, which runs as the caller: her rules and masking count. They are suggestions.", "", access{}, ValuesRequest{}, runbook.Suggestions{}, false, withRunbooks((*Handler).suggestValues)},
		{"POST", "/v1/runs", "Begin a run of a runbook, as the caller. One that may change something needs the digest of its plan, unless it is a dry run.", audit.AdminRun, access{}, RunRequest{}, runbook.Run{}, false, withRunbooks((*Handler).startRun)},
		{"GET", "/v1/runs", "The latest runs, of one runbook by ?runbook=SOURCE/NAME; without the permission, the caller's own.", audit.AdminRun, access{permission: List, own: true}, nil, RunList{}, false, withRunbooks((*Handler).listRuns)},
		{"GET", "/v1/runs/{id}", "One of them.", audit.AdminRun, access{permission: List, own: true}, nil, runbook.Run{}, false, withRunbooks((*Handler).showRun)},
		{"POST", "/v1/runs/{id}/cancel", "Cancel a run, also in the middle of a statement; without the permission, one's own.", audit.AdminRun, access{permission: Kill, own: true}, nil, Done{}, false, withRunbooks((*Handler).cancelRun)},
		{"GET", "/v1/undo", "The operations that can be undone, the latest first: ?session=ID; without the permission, the caller's own and those that she may decide about.", audit.AdminRequests, access{permission: Review, own: true}, nil, Undos{}, false, (*Handler).listUndos},
		{"POST", "/v1/undo/{id}", "Undo an operation, by the request by which it ran, as the caller, in a session of hers and after another approval: a line per event, plan, held, and done, conflict or failed. It is given up when the caller leaves.", audit.AdminUndo, access{login: true, permission: Review, own: true}, nil, nil, true, (*Handler).undo},

		{"POST", "/v1/offline-grants", "Make a grant by which somebody has access while the store and the identity provider do not answer. By itself it lets nobody in.", audit.AdminOffline, access{personal: true, permission: Configure}, OfflineGrantRequest{}, OfflineGrant{}, false, (*Handler).makeOffline},
		{"POST", "/v1/offline-grants/begin", "Begin to use a grant, at the local socket: the answer is what people sign.", audit.AdminOffline, access{permission: Review}, OfflineBegin{}, OfflineStatement{}, false, (*Handler).beginOffline},
		{"POST", "/v1/offline-grants/use", "Use a grant, at the local socket, by what people have signed.", audit.AdminOffline, access{permission: Review}, OfflineUse{}, OfflineAccess{}, false, (*Handler).useOffline},

		{"GET", "/v1/tokens", "The caller's access tokens; with the permission, everybody's by ?all=true.", audit.AdminToken, access{permission: Users, own: true}, nil, TokenList{}, false, (*Handler).listTokens},
		{"POST", "/v1/tokens", "Make an access token for the caller. Its secret is shown once.", audit.AdminToken, access{personal: true}, TokenRequest{}, NewToken{}, false, (*Handler).createToken},
		{"POST", "/v1/tokens/{id}/revoke", "End an access token, and the sessions that it has proven; without the permission, one's own.", audit.AdminToken, access{permission: Users, own: true}, nil, Done{}, false, (*Handler).revokeToken},

		{"GET", "/v1/users", "Those who have logged in, or were written down.", audit.AdminUsers, access{permission: Users}, nil, UserList{}, false, (*Handler).listUsers},
		{"GET", "/v1/user", "One of them: ?subject=.", audit.AdminUsers, access{permission: Users}, nil, User{}, false, (*Handler).showUser},
		{"POST", "/v1/user/groups", "Assign groups to somebody, in place of those assigned before.", audit.AdminUser, access{personal: true, permission: Users}, GroupsRequest{}, User{}, false, (*Handler).assignGroups},
		{"POST", "/v1/user/disable", "Have somebody not log in any more, and end her sessions.", audit.AdminUser, access{personal: true, permission: Users}, UserRequest{}, User{}, false, (*Handler).disableUser},
		{"POST", "/v1/user/enable", "End what disable began.", audit.AdminUser, access{personal: true, permission: Users}, UserRequest{}, User{}, false, (*Handler).enableUser},
		{"POST", "/v1/user/logout", "End all logins of somebody and what they were given, and revoke her access tokens.", audit.AdminUser, access{permission: Users}, UserRequest{}, LoggedOut{}, false, (*Handler).logoutUser},
		{"POST", "/v1/user/factors", "Take somebody's second factor away, such as one that is lost, and end her logins.", audit.AdminUser, access{personal: true, permission: Users}, UserRequest{}, FactorsReset{}, false, (*Handler).resetFactors},
		{"GET", "/v1/groups", "The groups that somebody is in, with their members.", audit.AdminUsers, access{permission: Users}, nil, GroupList{}, false, (*Handler).listGroups},

		{"GET", "/v1/objects", "The objects of the configuration: those of the config file, and of the store.", audit.AdminConfiguration, access{permission: Configure}, nil, ObjectList{}, false, (*Handler).listObjects},
		{"POST", "/v1/objects", "Change objects of the store; all of it is done, or nothing. What weakens something waits for a second person.", audit.AdminConfigure, access{personal: true, permission: Configure}, ApplyRequest{}, Revision{}, false, (*Handler).applyObjects},
		{"GET", "/v1/revisions", "What was changed, the newest first: ?before=NUMBER&limit=NUMBER.", audit.AdminConfiguration, access{permission: Configure}, nil, RevisionList{}, false, (*Handler).listRevisions},
		{"GET", "/v1/revisions/{number}", "One of them.", audit.AdminConfiguration, access{permission: Configure}, nil, Revision{}, false, (*Handler).showRevision},
		{"POST", "/v1/revisions/{number}/approve", "Apply somebody else's revision that waits.", audit.AdminConfigure, access{personal: true, permission: Configure}, RevisionRequest{}, Revision{}, false, (*Handler).approveRevision},
		{"POST", "/v1/revisions/{number}/reject", "Have a revision that waits not applied.", audit.AdminConfigure, access{personal: true, permission: Configure}, RevisionRequest{}, Revision{}, false, (*Handler).rejectRevision},
		{"POST", "/v1/revisions/{number}/revert", "Take a revision back, by another one.", audit.AdminConfigure, access{personal: true, permission: Configure}, RevisionRequest{}, Revision{}, false, (*Handler).revertRevision},

		{"POST", "/v1/policy/simulate", "How the gateway would answer somebody, and why. Nothing is done.", audit.AdminConfiguration, access{permission: Configure}, Simulation{}, Simulated{}, false, (*Handler).simulate},
		{"POST", "/v1/policy/replay", "What a draft of objects would have done with what is on record: of at most 31 days, 20,000 operations and 30 seconds. It needs the permission watch, too.", audit.AdminRead, access{permission: Configure}, ReplayQuestion{}, ReplayAnswer{}, false, (*Handler).replayDraft},
		{"POST", "/v1/resources/{name}/test", "Try whether the gateway reaches a resource and logs in there, step by step.", audit.AdminConfiguration, access{permission: Configure}, nil, ResourceTest{}, false, (*Handler).testResource},

		{"GET", "/v1/authorities", "The authorities that sign certificates, with the keys that are trusted.", audit.AdminConfiguration, access{permission: Configure}, nil, AuthorityList{}, false, (*Handler).listAuthorities},
		{"POST", "/v1/authorities/{purpose}/rotate", "Have another key sign certificates for users, servers, agents, ssh-hosts or ssh-resources, once those who trust the authority have learned of it.", audit.AdminConfigure, access{personal: true, permission: Configure}, RotateRequest{}, Authority{}, false, (*Handler).rotateAuthority},
		{"GET", "/v1/agents", "The agents that dial out, which reach resources of private networks: who has enrolled, and how this gateway sees them.", audit.AdminConfiguration, access{permission: Configure}, nil, AgentList{}, false, (*Handler).listAgents},

		{"GET", "/v1/hosts", "The resources that are known by the key that they showed when they were first reached: the fingerprint, since when, and the keys that were forgotten.", audit.AdminConfiguration, access{permission: Configure}, nil, HostList{}, false, (*Handler).listHosts},
		{"POST", "/v1/hosts/{name}/forget", "Have all gateways forget by which key a resource is known, such as one that was set up anew: the next that it shows is trusted.", audit.AdminConfigure, access{personal: true, permission: Configure}, ReasonRequest{}, Host{}, false, (*Handler).forgetHost},

		{"GET", "/v1/channels", "The channels by which people are told of requests, and how they are doing.", audit.AdminConfiguration, access{permission: Configure}, nil, ChannelList{}, false, (*Handler).listChannels},
		{"GET", "/v1/channels/{name}/dead", "What a channel was not told in the end, and can be told again.", audit.AdminConfiguration, access{permission: Configure}, nil, DeadLetterList{}, false, (*Handler).listDeadLetters},
		{"GET", "/v1/alerts", "The rules over events of the record, of which channels are told, with the latest times that each has fired.", audit.AdminConfiguration, access{permission: Configure}, nil, AlertList{}, false, (*Handler).listAlerts},
		{"POST", "/v1/alerts/try", "What a rule would have done with what is on record: of at most 31 days, 20,000 events that fit and 30 seconds. It needs the permissions audit and list, too. Nobody is told.", audit.AdminRead, access{permission: Configure}, AlertQuestion{}, AlertTried{}, false, (*Handler).tryAlert},
		{"POST", "/v1/channels/{name}/retry", "Tell a channel again what it was not told: one notice, or all.", audit.AdminConfigure, access{personal: true, permission: Configure}, RetryRequest{}, Retried{}, false, (*Handler).retryChannel},

		{"POST", "/v1/detokenised", "Record that a masked value was turned back.", audit.AdminDetokenise, access{permission: Detokenise}, DetokenisedRequest{}, Done{}, false, (*Handler).noteDetokenised},
	}
}

// Done is the answer to what has nothing to say.
type Done struct{}

func (h *Handler) route() {
	h.limits = newLimits()
	h.mux = http.NewServeMux()
	for _, rt := range routes() {
		h.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
			if err := h.serve(&rt, w, r); err != nil && !errors.Is(err, errUpgraded) {
				h.fail(w, err)
			}
		})
	}
	h.mux.HandleFunc("/auth/", h.auth)
	h.mux.HandleFunc("GET "+link.Path+"{id}", h.showLink)
	h.mux.HandleFunc("POST "+link.Path+"{id}", h.answerLink)
	h.mux.HandleFunc("GET "+AppPath+"{$}", h.enterApp)
	h.mux.HandleFunc("POST "+AppPath+"{$}", h.loginForApp)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		h.fail(w, NotFound("there is nothing at this address"))
	})
}

// serve serves a route for those who may use it. What is refused is recorded; do records
// what it does itself.
func (h *Handler) serve(rt *route, w http.ResponseWriter, r *http.Request) error {
	c := &call{Request: r, w: w, portal: h.portal()}
	now := time.Now()
	if !isPeer(r) {
		if err := outdated(r, c.portal.MinClient); err != nil {
			return err
		}
	}
	if rt.access.open {
		if d := h.limits.open.take(r.RemoteAddr, now); d > 0 {
			return wait(w, d)
		}
		return rt.do(h, c)
	}
	if err := h.know(rt, c); err != nil {
		return err
	}
	if !isPeer(r) {
		if d := h.limits.identity.take(c.who.Subject, now); d > 0 {
			return wait(w, d)
		}
	}
	c.again = func() error {
		if err := h.know(rt, c); err != nil {
			return err
		}
		return h.admit(rt, c)
	}
	begun := *c
	c.still = func() error {
		now := begun
		if err := h.still(&now); err != nil {
			return err
		}
		return h.may(rt, &now)
	}
	if err := h.admit(rt, c); err != nil {
		return err
	}
	return rt.do(h, c)
}

// know finds out who the caller is.
func (h *Handler) know(rt *route, c *call) error {
	who, err := h.authenticate(c.Request)
	if err == nil {
		c.who, c.means = who, meansOf(who)
		Proven(c.Request)
		return nil
	}
	// Those who are known at the same address are not kept out by it.
	if d := h.limits.failed.take(c.RemoteAddr, time.Now()); d > 0 {
		return wait(c.w, d)
	}
	if !errors.Is(err, proxy.ErrUnauthenticated) {
		h.log().Error("control: it could not be checked who asks", "err", err)
		return &Error{http.StatusServiceUnavailable, CodeUnavailable, "it cannot be checked now who you are: ask again"}
	}
	return h.refused(rt, c, &Error{http.StatusUnauthorized, CodeUnauthenticated, "the gateway does not know who you are"})
}

// refused records a refusal, which is err. One of nobody who is known is a failed login.
func (h *Handler) refused(rt *route, c *call, err error) error {
	var told *Error
	if !errors.As(err, &told) || rt.action == "" && c.who != nil {
		return err
	}
	action := rt.action
	if action == "" {
		action = strings.TrimPrefix(rt.path, "/")
	}
	if c.who == nil {
		h.event(proxy.EventLoginFailed, c.Request, "", nil, fmt.Errorf("%w: %s", proxy.ErrUnauthenticated, action))
		return err
	}
	a := audit.Action{Type: audit.AdminRefused, Action: action, By: c.who, Remote: c.RemoteAddr}
	if strings.HasPrefix(rt.path, "/v1/sessions/") {
		a.Session = knownID(c.PathValue("id"))
	}
	if rerr := h.record(a); rerr != nil {
		return rerr
	}
	return err
}

// admit returns why a caller may not use a route, which is on record then.
func (h *Handler) admit(rt *route, c *call) error {
	if err := h.may(rt, c); err != nil {
		return h.refused(rt, c, err)
	}
	return nil
}

func (h *Handler) may(rt *route, c *call) error {
	a := rt.access
	switch {
	case c.means == byPeer:
		if (a.login || a.personal) && a.permission == "" {
			return &Error{http.StatusForbidden, CodeForbidden, "this is for those who have logged in, and not for users of the local socket"}
		}
	case a.login && (c.means != byLogin || c.who.Kind == proxy.Agent):
		return &Error{http.StatusForbidden, CodeForbidden, "this needs a login: a certificate or an access token is not enough"}
	case a.personal && !c.personal():
		return &Error{http.StatusForbidden, CodeForbidden, "this needs a person who has logged in: a certificate, an access token or a service's login is not enough"}
	}
	if a.permission == "" {
		return nil
	}
	scoped, err := c.scoped()
	if err != nil {
		return err
	}
	// What an agent does to the gateway, its human has not decided.
	c.permitted = !scoped && c.who.Kind != proxy.Agent && h.Permit != nil && h.Permit(c.who, a.permission)
	if c.permitted || a.own && c.means != byPeer && !scoped {
		return nil
	}
	return &Error{http.StatusForbidden, CodeForbidden, "you may not do this: it needs the permission " + string(a.permission)}
}

// personal reports whether a person has logged in.
func (c *call) personal() bool { return c.means == byLogin && c.who.Kind == proxy.Human }

// owns reports whether something of somebody's, or of an agent of hers, is the caller's.
func (c *call) owns(subject, human string) bool {
	return c.means != byPeer && (subject == c.who.Subject || human != "" && human == c.who.Subject)
}

// auth is where people log in at providers.
func (h *Handler) auth(w http.ResponseWriter, r *http.Request) {
	p := h.portal()
	if p.Auth == nil || isPeer(r) {
		h.fail(w, NotFound("nobody logs in here by an identity provider"))
		return
	}
	if d := h.limits.open.take(r.RemoteAddr, time.Now()); d > 0 {
		h.fail(w, wait(w, d))
		return
	}
	http.StripPrefix("/auth", p.Auth).ServeHTTP(w, r.WithContext(withRemote(r)))
}
