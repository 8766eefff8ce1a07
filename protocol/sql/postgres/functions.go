package postgres

import (
	_ "embed"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// builtin is made by functions.sql.
//
//go:embed functions.txt
var builtin string

// volatile are the built-in functions that the server calls volatile and whose
// working is known, and those of later versions than the list's.
var volatile = map[proxy.FunctionClass]string{
	proxy.FunctionHarmless: `clock_timestamp current_query gen_random_uuid random setseed timeofday random_normal uuidv4 uuidv7
		any_value array_sample array_shuffle array_sort array_reverse date_add date_subtract erf erfc gamma lgamma
		uuid_extract_timestamp uuid_extract_version casefold crc32 crc32c to_bin to_oct unicode_assigned pg_input_is_valid
		pg_input_error_info xmltext`,
	proxy.FunctionReads: `currval lastval lo_close lo_get lo_lseek lo_lseek64 lo_open lo_tell lo_tell64 loread pg_blocking_pids
		pg_collation_actual_version pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
		pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version
		pg_database_size pg_export_snapshot pg_get_backend_memory_contexts pg_get_shmem_allocations pg_get_wal_replay_pause_state
		pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused pg_jit_available pg_last_committed_xact
		pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
		pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size
		pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_stat_clear_snapshot pg_stat_have_stats
		pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls
		pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
		pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_returned
		pg_stat_get_xact_tuples_updated pg_table_size pg_tablespace_size pg_total_relation_size
		pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status txid_status system_user
		pg_get_acl pg_basetype to_regtypemod has_largeobject_privilege pg_stat_get_io`,
	proxy.FunctionWrites: `lo_creat lo_create lo_from_bytea lo_put lo_truncate lo_truncate64 lo_unlink lowrite nextval setval`,
	proxy.FunctionOutside: `lo_export lo_import pg_current_logfile pg_hba_file_rules pg_ident_file_mappings pg_ls_archive_statusdir
		pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_tmpdir pg_ls_waldir
		pg_read_binary_file pg_read_file pg_read_file_old pg_show_all_file_settings pg_sleep pg_sleep_for pg_sleep_until
		pg_stat_file`,
	proxy.FunctionSettings: `set_config`,
	proxy.FunctionAdmin: `pg_backup_start pg_backup_stop pg_cancel_backend pg_copy_logical_replication_slot
		pg_copy_physical_replication_slot pg_create_logical_replication_slot pg_create_physical_replication_slot
		pg_create_restore_point pg_drop_replication_slot pg_import_system_collations
		pg_log_backend_memory_contexts pg_logical_emit_message pg_logical_slot_get_binary_changes
		pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_promote
		pg_reload_conf pg_replication_origin_advance pg_replication_origin_create pg_replication_origin_drop
		pg_replication_slot_advance pg_rotate_logfile pg_rotate_logfile_old pg_stat_reset
		pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters
		pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats pg_switch_wal
		pg_terminate_backend pg_wal_replay_pause pg_wal_replay_resume`,
}

// casts are the types that a value is cast to by their name, as in uuid(x), and that no
// function is called by.
var casts = map[proxy.FunctionClass]string{
	proxy.FunctionHarmless: `bytea inet json jsonb jsonpath pg_lsn pg_snapshot refcursor tid tsquery tsvector txid_snapshot uuid xid8`,
	proxy.FunctionReads:    `regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype`,
}

var classes = func() map[string]proxy.FunctionClass {
	m := make(map[string]proxy.FunctionClass, 2200)
	for line := range strings.Lines(builtin) {
		class, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if class == "reads" {
			m[name] = proxy.FunctionReads
		} else {
			m[name] = proxy.FunctionHarmless
		}
	}
	for _, list := range []map[proxy.FunctionClass]string{volatile, casts} {
		for class, names := range list {
			for name := range strings.FieldsSeq(names) {
				m[name] = class
			}
		}
	}
	return m
}()

// classify returns a function's class and the effects of calling it. A function
// in a schema other than pg_catalog is not known, but for those of extensions,
// which may lie in any schema.
func classify(schema, name string) (proxy.FunctionClass, proxy.Effects) {
	if class, ok := extensions[name]; ok {
		return class, sql.CallEffects(class)
	}
	if schema != "" && schema != "pg_catalog" {
		return proxy.FunctionUnknown, proxy.EffectCall
	}
	switch {
	case name == "pg_notify":
		return proxy.FunctionWrites, proxy.EffectNotify
	case sql.OnSequence(name):
		return proxy.FunctionWrites, proxy.EffectSequence
	case strings.HasPrefix(name, "pg_advisory_"), strings.HasPrefix(name, "pg_try_advisory_"):
		return proxy.FunctionHarmless, proxy.EffectLock
	}
	class := classes[name]
	return class, sql.CallEffects(class)
}
