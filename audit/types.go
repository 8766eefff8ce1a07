package audit

import "github.com/sallyport/sallyport/proxy"

// Types are the types of events, without those of what becomes of requests, which begin with ReviewPrefix.
func Types() []string {
	list := []string{
		SessionStart, SessionEnd, SessionRecovered, SessionRevised, OperationStart, OperationEnd, OperationRefused, OperationObserved, SessionUnmasked, Degraded,
		RecordingStart, RecordingOutput, RecordingInput, RecordingResize, RecordingRows, RecordingOriginal, RecordingEnd,
		GatewayStart, GatewayStop, GatewayRotate, GatewayConfig, ExportLagging, ExportResumed, ExportLeftOut, ExportConflict,
		SecretResolve, SecretRenew, SecretRevoke, SecretLost, TunnelEnrolled, TunnelRenewed, TunnelRevoked, TunnelConnected, TunnelLost,
		HostTrusted, HostForgotten, HostRefused, RecordExpired,
		AdminList, AdminKill, AdminMessage, AdminFreeze, AdminThaw, AdminWatch, AdminRead, AdminExport, AdminErase, AdminHold, AdminRelease, AdminDetokenise, AdminAdopt, AdminRefused,
		AdminAsk, AdminRequests, AdminUndo, AdminDecide, AdminLogin, AdminLogout, AdminLink, AdminCredential, AdminToken, AdminFactor, AdminUsers, AdminUser, AdminRun, AdminOffline,
		AdminConfiguration, AdminConfigure,
	}
	for k := proxy.EventKind(1); k.String() != ""; k++ {
		if k != proxy.EventSessionStart && k != proxy.EventSessionEnd { // the session's own record tells
			list = append(list, GatewayPrefix+k.String())
		}
	}
	return list
}
