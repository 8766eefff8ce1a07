package audit

import "os"

// wholeFile holds that an open file has at least size bytes. The system keeps it in its folder while it is open.
func wholeFile(f *os.File, size int64) error {
	st, err := f.Stat()
	if err == nil && st.Size() < size {
		err = cutOff(f, st.Size(), size)
	}
	return err
}
