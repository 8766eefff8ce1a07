# The rules of TestRulesAndRegoAgree, in Rego.
package sallyport

default decision := {"allow": false, "reason": "no rule allows this"}

decision := {"allow": false, "rule": rule} if {
	rule := min(denied)
} else := {"allow": true, "rule": "rules"} if permitted

# The words of rules, as effects of statements.
neutral := {"transaction", "set", "prepare"}

reads := {"read", "copy-out", "show"} | neutral

changes := {"insert", "update", "delete", "truncate", "copy-in"}

writes := (changes | {"lock", "notify"}) | neutral

ddl := {"create", "alter", "drop", "maintain", "transaction"}

op := input.operation

effects contains e if some e in op.statement.effects

is_statement if op.kind in {"statement", "prepare"}

member(group) if group in input.identity.groups

env := object.get(input.resource.labels, "env", "")

# What each rule allows: kinds of operations, effects and files.
grants contains {"kinds": {"connect"}, "effects": reads, "files": set()} if {
	member("dev")
	env == "prod"
}

grants contains {"kinds": {"connect"}, "effects": (reads | writes) | ddl, "files": set()} if {
	member("dev")
	env == "test"
}

grants contains {"kinds": {"connect", "exec", "env"}, "effects": reads | writes, "files": {"read", "stat", "list", "readlink"}} if {
	member("ops")
	startswith(input.resource.name, "shop")
}

grants contains {"kinds": {"connect"}, "effects": reads, "files": set()} if {
	member("night")
	night
}

grants contains {"kinds": {"connect"}, "effects": reads, "files": set()} if {
	input.identity.claims.team == "red"
	startswith(input.resource.database, "red_")
}

root if input.identity.subject == "root"

night if time.clock(input.time.now_ns)[0] >= 22

night if time.clock(input.time.now_ns)[0] < 6

permitted if root

permitted if {
	some g in grants
	op.kind in g.kinds
}

permitted if {
	op.kind == "connect"
	member("clerks")
}

permitted if {
	some g in grants
	op.file.action in g.files
}

permitted if {
	is_statement
	some g in grants
	count(g.effects) > 0 # it allows some statements
	count(missing) == 0
}

permitted if {
	is_statement
	member("clerks")
	known
	count(missing - reads) == 0
	every r in op.statement.relations {
		missing_of := {e | some e in r.effects; e in missing}
		covered(r, missing_of)
	}
}

missing := effects - {e | some g in grants; some e in g.effects}

covered(_, effects_of) if count(effects_of) == 0

covered(r, _) if clerks_may_see(r)

clerks_may_see(r) if {
	r.schema == "public"
	r.name == "orders"
}

clerks_may_see(r) if r.schema == "sales"

# It can be told which relations a statement touches.
known if {
	count(effects & blind) == 0
	not op.statement.unsure
	looked_up
}

blind := {"unknown", "call", "do", "execute"}

looked_up if op.statement.resolved

looked_up if count(op.statement.relations) == 0

denied contains "no-truncate" if count(effects & {"truncate", "drop"}) > 0

denied contains "agents-read" if {
	input.identity.kind == "agent"
	count(effects & (changes | {"lock", "notify"})) > 0
}

denied contains "step-up" if {
	env == "prod"
	"delete" in effects
	not fresh
}

fresh if {
	input.identity.login_ns > 0
	input.time.now_ns - input.identity.login_ns < time.parse_duration_ns("15m")
}

denied contains "no-hr" if {
	guarded
	some r in op.statement.relations
	r.schema in {"hr", ""}
	some e in r.effects
	e in guarded_effects
}

denied contains "no-hr" if {
	guarded
	count(effects & (guarded_effects | blind)) > 0
	not known
}

guarded if member("dev")

guarded if member("ops")

guarded_effects := ((reads | changes) | {"lock", "notify"}) - neutral
