# What is denied of what the access rules allow.
package sallyport

default decision := {"allow": true}

decision := {"allow": false, "rule": rule, "reason": reason} if {
	some rule, reason in denied
	rule == min(object.keys(denied))
}

# By effect and group.
denied.deletes := "rows are deleted by members of dba" if {
	"delete" in input.operation.statement.effects
	not "dba" in input.identity.groups
}

# By relation. A statement that may reach it, and does not say so, is denied, too.
denied.salaries := "salaries are not read here" if {
	some relation in input.operation.statement.relations
	relation.name == "salaries"
}

denied.salaries := "it cannot be told whether this reads salaries" if input.operation.statement.unsure

# By label and time: what is used by customers does not change on weekends.
denied.weekends := "production does not change on weekends" if {
	input.resource.labels.env == "prod"
	some effect in input.operation.statement.effects
	effect in {"insert", "update", "delete", "alter", "drop"}
	time.weekday([input.time.now_ns, "Europe/Berlin"]) in {"Saturday", "Sunday"}
}
