package sql

import "github.com/sallyport/sallyport/proxy"

// callEffects are the effects of calling a function, by its class.
var callEffects = [...]proxy.Effects{
	proxy.FunctionUnknown:  proxy.EffectCall,
	proxy.FunctionHarmless: 0,
	proxy.FunctionReads:    proxy.EffectRead,
	proxy.FunctionWrites:   proxy.EffectUpdate,
	proxy.FunctionOutside:  proxy.EffectOutside,
	proxy.FunctionSettings: proxy.EffectSet,
	proxy.FunctionAdmin:    proxy.EffectMaintain,
}

// CallEffects returns the effects of calling a function of a class, in any
// dialect. It panics for a value that is not a class.
func CallEffects(c proxy.FunctionClass) proxy.Effects { return callEffects[c] }

// OnSequence reports whether a function of that name, of the server's own, advances a
// sequence or sets one, and changes nothing else.
func OnSequence(name string) bool { return name == "nextval" || name == "setval" }
