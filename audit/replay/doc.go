// Package replay shows recordings: of terminals as they looked, at any speed and from
// any place, and as files of asciicast; of rows as CSV; and what was sealed before
// masking.
//
// What a terminal showed can have come from anybody who could make it show
// something. [Screen] lets through what draws, and nothing that asks a terminal to
// answer, writes its clipboard or changes how it reads keys.
package replay
