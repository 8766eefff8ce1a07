// Package replay shows what was recorded of terminals: as it looked, at any
// speed, from any place, and as asciicast files.
//
// What a terminal showed can have come from anybody who could make it show
// something. [Screen] lets through what draws, and nothing that asks a terminal to
// answer, writes its clipboard or changes how it reads keys.
package replay
