package scim

import (
	"net/http"
	"strings"
)

// describe answers what a client may ask of the server itself (RFC 7644, section 4).
func (h *Handler) describe(w http.ResponseWriter, parts []string) error {
	all := func(list ...map[string]any) map[string]any {
		return map[string]any{
			"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": len(list), "startIndex": 1, "itemsPerPage": len(list), "Resources": list,
		}
	}
	one := func(list ...map[string]any) error {
		if len(parts) == 1 {
			h.send(w, http.StatusOK, all(list...))
			return nil
		}
		for _, m := range list {
			if id, _ := m["id"].(string); len(parts) == 2 && strings.EqualFold(id, parts[1]) {
				h.send(w, http.StatusOK, m)
				return nil
			}
		}
		return errMissing
	}
	switch strings.ToLower(parts[0]) {
	case "serviceproviderconfig":
		h.send(w, http.StatusOK, map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
			"patch":   map[string]any{"supported": true}, "bulk": map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
			"filter": map[string]any{"supported": true, "maxResults": maxCount}, "changePassword": map[string]any{"supported": false},
			"sort": map[string]any{"supported": false}, "etag": map[string]any{"supported": true},
			"authenticationSchemes": []map[string]any{{"type": "oauthbearertoken", "name": "Bearer token", "description": "A token in the Authorization header"}},
		})
		return nil
	case "resourcetypes":
		kind := func(name, schema string) map[string]any {
			return map[string]any{
				"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": name, "name": name, "endpoint": "/" + name + "s", "schema": schema,
			}
		}
		user := kind("User", schemaUser)
		user["schemaExtensions"] = []map[string]any{{"schema": schemaEnterprise, "required": false}}
		return one(user, kind("Group", schemaGroup))
	case "schemas":
		attr := func(name, typ string, required bool, uniqueness string) map[string]any {
			return map[string]any{
				"name": name, "type": typ, "multiValued": isMultiple(name), "required": required, "caseExact": name == "externalId",
				"mutability": "readWrite", "returned": "default", "uniqueness": uniqueness,
			}
		}
		schema := func(id, name string, attributes ...map[string]any) map[string]any {
			return map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": id, "name": name, "attributes": attributes}
		}
		return one(
			schema(
				schemaUser, "User", attr("userName", "string", true, "server"), attr("externalId", "string", false, "none"), attr("active", "boolean", false, "none"),
				attr("displayName", "string", false, "none"), attr("name", "complex", false, "none"), attr("emails", "complex", false, "none"),
			),
			schema(schemaGroup, "Group", attr("displayName", "string", true, "server"), attr("externalId", "string", false, "none"), attr("members", "complex", false, "none")),
			schema(schemaEnterprise, "EnterpriseUser", attr("department", "string", false, "none"), attr("manager", "complex", false, "none"), attr("employeeNumber", "string", false, "none")),
		)
	}
	return errMissing
}
