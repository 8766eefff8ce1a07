package mysql

import (
	_ "embed"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// builtin are the functions that MariaDB calls its own: those of
// information_schema.SQL_FUNCTIONS.
//
//go:embed functions.txt
var builtin string

// apart are the server's own functions that are more than their arguments, and
// those of MySQL, of SQL's syntax and of geometry that the list does not have.
var apart = map[proxy.FunctionClass]string{
	proxy.FunctionHarmless: `if ifnull nullif char convert cast binary current_date current_time current_timestamp localtime localtimestamp
		utc_date utc_time utc_timestamp sysdate now curdate curtime date time timestamp year month day hour minute second get_format interval
		timestampadd timestampdiff row row_number json_table json_schema_valid json_storage_size json_value regexp_like any_value
		bin_to_uuid uuid_to_bin is_uuid uuid_v4 uuid_v7 statement_digest_text statement_digest format_bytes format_pico_time
		default values grouping insert left right repeat replace trim position weight_string charset user current_user current_role
		json_keys member json_overlaps random_bytes ceiling approx_count_distinct bit_count group_concat max min sum avg count
		st_geomfromtext st_astext st_asbinary st_asgeojson st_geomfromgeojson st_distance st_distance_sphere st_contains st_within st_intersects
		st_x st_y st_srid st_area st_length st_buffer st_centroid st_envelope st_isvalid st_geometrytype st_pointfromtext
		st_geomfromwkb point linestring polygon multipoint multilinestring multipolygon geometrycollection astext x y
		mbrcontains mbrwithin mbrintersects`,
	proxy.FunctionReads: `found_rows row_count last_insert_id connection_id database schema is_free_lock is_used_lock
		lastval last_value user session_user system_user version binlog_gtid_pos wsrep_last_seen_gtid wsrep_last_written_gtid
		ps_current_thread_id ps_thread_id icu_version roles_graphml can_access_column can_access_database can_access_table`,
	proxy.FunctionWrites: `nextval setval`,
	proxy.FunctionOutside: `load_file sleep benchmark master_pos_wait master_gtid_wait source_pos_wait wait_for_executed_gtid_set
		wait_until_sql_thread_after_gtids wsrep_sync_wait_upto_gtid sys_exec sys_eval sys_get sys_set http_get http_post`,
}

// locks are functions that take locks for which others wait.
var locks = map[string]bool{"get_lock": true, "release_lock": true, "release_all_locks": true}

var classes = func() map[string]proxy.FunctionClass {
	m := make(map[string]proxy.FunctionClass, 500)
	for name := range strings.FieldsSeq(builtin) {
		m[name] = proxy.FunctionHarmless
	}
	for class, names := range apart {
		for name := range strings.FieldsSeq(names) {
			m[name] = class
		}
	}
	return m
}()

// classify returns a function's class and the effects of calling it. One with a
// schema is stored in it.
func classify(schema, name string) (proxy.FunctionClass, proxy.Effects) {
	switch {
	case schema != "":
		return proxy.FunctionUnknown, proxy.EffectCall
	case locks[name]:
		return proxy.FunctionHarmless, proxy.EffectLock
	case sql.OnSequence(name):
		return proxy.FunctionWrites, proxy.EffectSequence
	}
	class := classes[name]
	return class, sql.CallEffects(class)
}
