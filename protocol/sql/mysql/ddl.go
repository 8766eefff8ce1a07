package mysql

import (
	"strings"

	"github.com/sqlc-dev/marino/ast"

	"github.com/sallyport/sallyport/proxy"
)

// definition notes statements that define things, and reports whether n is one.
func (v *visitor) definition(n ast.StmtNode) bool {
	const (
		create = proxy.EffectCreate
		alter  = proxy.EffectAlter
		drop   = proxy.EffectDrop
		grant  = proxy.EffectGrant
		reach  = proxy.EffectOutside // takes in code, other servers or files
	)
	switch n := n.(type) {
	case *ast.CreateTableStmt:
		v.literals = true // engines can be named in quotes
		e := create
		if n.Select != nil {
			e |= proxy.EffectInsert
		}
		v.add(e | reaching(n.Options))
		v.with(e, func() { v.visit(n.Table) })
		v.with(proxy.EffectRead, func() { v.children(n, "Table") })
	case *ast.CreateViewStmt:
		v.add(create)
		v.with(create, func() { v.visit(n.ViewName) })
		v.with(proxy.EffectRead, func() { v.visit(n.Select) })
	case *ast.CreateDatabaseStmt, *ast.CreateIndexStmt, *ast.CreateSequenceStmt, *ast.CreateSpatialReferenceSystemStmt:
		v.add(create)
		v.with(create, func() { v.children(n) })
	case *ast.CreateTriggerStmt, *ast.CreateEventStmt, *ast.CreateFunctionStmt, *ast.ProcedureInfo:
		v.add(create) // what is in it runs later, when it is called
	case *ast.CreateLoadableFunctionStmt, *ast.CreateServerStmt, *ast.CreateLibraryStmt, *ast.CreateTablespaceStmt, *ast.CreateLogfileGroupStmt:
		v.add(create | reach)
	case *ast.CreateUserStmt:
		v.add(create | grant)
	case *ast.AlterTableStmt:
		v.literals = true
		v.add(alter)
		for _, s := range n.Specs {
			v.add(alteration(s))
		}
		v.with(alter, func() { v.children(n) })
	case *ast.RenameTableStmt:
		v.add(alter)
		v.with(alter, func() { v.children(n) })
	case *ast.AlterViewStmt:
		v.add(alter)
		v.with(alter, func() { v.children(n) })
	case *ast.AlterEventStmt, *ast.AlterFunctionStmt, *ast.AlterProcedureStmt, *ast.AlterSequenceStmt:
		v.add(alter)
	case *ast.AlterServerStmt, *ast.AlterLibraryStmt, *ast.AlterTablespaceStmt, *ast.AlterLogfileGroupStmt:
		v.add(alter | reach)
	case *ast.AlterUserStmt, *ast.RenameUserStmt, *ast.SetPwdStmt, *ast.SetDefaultRoleStmt:
		v.add(alter | grant)
	case *ast.GrantStmt, *ast.GrantRoleStmt, *ast.GrantProxyStmt, *ast.RevokeStmt, *ast.RevokeRoleStmt:
		v.add(grant)
	case *ast.DropTableStmt, *ast.DropDatabaseStmt, *ast.DropIndexStmt, *ast.DropSequenceStmt, *ast.DropProcedureStmt, *ast.DropFunctionStmt,
		*ast.DropTriggerStmt, *ast.DropEventStmt, *ast.DropServerStmt, *ast.DropTablespaceStmt, *ast.DropLogfileGroupStmt, *ast.DropLibraryStmt,
		*ast.DropSpatialReferenceSystemStmt:
		v.add(drop)
		v.with(drop, func() { v.children(n) })
	case *ast.DropUserStmt:
		v.add(drop | grant)
	case *ast.TruncateTableStmt:
		v.add(proxy.EffectTruncate)
		v.with(proxy.EffectTruncate, func() { v.children(n) })
	default:
		return false
	}
	return true
}

// alteration is what one command of ALTER TABLE does in addition to altering.
func alteration(s *ast.AlterTableSpec) proxy.Effects {
	e := reaching(s.Options)
	switch s.Tp {
	case ast.AlterTableDropColumn, ast.AlterTableDropPrimaryKey, ast.AlterTableDropIndex, ast.AlterTableDropForeignKey, ast.AlterTableDropCheck,
		ast.AlterTableDropPartition, ast.AlterTableDiscardTablespace, ast.AlterTableDiscardPartitionTablespace:
		e |= proxy.EffectDrop
	case ast.AlterTableTruncatePartition:
		e |= proxy.EffectTruncate
	case ast.AlterTableExchangePartition:
		e |= proxy.EffectInsert | proxy.EffectDelete
	}
	return e
}

// plainEngines keep their tables within the server.
var plainEngines = map[string]bool{"innodb": true, "myisam": true, "aria": true, "memory": true, "heap": true, "archive": true, "blackhole": true, "rocksdb": true, "ndbcluster": true, "ndb": true}

// reaching reports whether a table reaches other servers or files, as those of
// FEDERATED, CONNECT, S3 and CSV do.
func reaching(options []*ast.TableOption) proxy.Effects {
	for _, o := range options {
		switch o.Tp {
		case ast.TableOptionEngine:
			if !plainEngines[strings.ToLower(o.StrValue)] {
				return proxy.EffectOutside
			}
		case ast.TableOptionConnection, ast.TableOptionDataDirectory, ast.TableOptionIndexDirectory:
			return proxy.EffectOutside
		}
	}
	return 0
}

// administration notes statements about the server, and reports whether n is one.
func (v *visitor) administration(n ast.StmtNode) bool {
	switch n.(type) {
	case *ast.AnalyzeTableStmt, *ast.CheckTableStmt, *ast.ChecksumTableStmt, *ast.OptimizeTableStmt, *ast.RepairTableStmt,
		*ast.CacheIndexStmt, *ast.LoadIndexStmt:
		v.facts.Rows = true
		v.add(proxy.EffectMaintain)
		v.with(proxy.EffectMaintain, func() { v.children(n) })
	case *ast.KillStmt, *ast.FlushStmt, *ast.ShutdownStmt, *ast.RestartStmt, *ast.ResetBinaryLogsAndGtidsStmt, *ast.ResetReplicaStmt,
		*ast.ResetPersistStmt, *ast.PurgeBinaryLogsStmt, *ast.StartReplicaStmt, *ast.StopReplicaStmt, *ast.StartGroupReplicationStmt,
		*ast.StopGroupReplicationStmt, *ast.LockInstanceStmt, *ast.UnlockInstanceStmt, *ast.ChangeReplicationFilterStmt,
		*ast.CreateResourceGroupStmt, *ast.AlterResourceGroupStmt, *ast.DropResourceGroupStmt, *ast.SetResourceGroupStmt:
		v.add(proxy.EffectMaintain)
		v.children(n)
	case *ast.ChangeReplicationSourceStmt, *ast.CloneStmt, *ast.InstallPluginStmt, *ast.InstallComponentStmt, *ast.UninstallPluginStmt,
		*ast.UninstallComponentStmt, *ast.ImportTableStmt:
		v.add(proxy.EffectMaintain | proxy.EffectOutside)
	case *ast.LoadXMLStmt:
		v.add(proxy.EffectInsert | proxy.EffectDelete | proxy.EffectCopyIn | proxy.EffectCopyProgram | proxy.EffectOutside)
		v.with(proxy.EffectInsert, func() { v.children(n) })
	case *ast.BinlogStmt:
		v.add(proxy.EffectMaintain)
		v.unknown("BINLOG holds encoded changes")
	default:
		return false
	}
	return true
}
