package commandline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/ssh"
)

func TestTransfers(t *testing.T) {
	reads := func(paths ...string) ssh.Transfer { return ssh.Transfer{Reads: true, Paths: paths} }
	writes := func(paths ...string) ssh.Transfer { return ssh.Transfer{Writes: true, Paths: paths} }
	for _, tt := range []struct {
		name, command string
		want          ssh.Transfer
	}{
		{"scp from", "scp -v -f /srv/a", reads("/srv/a")},
		{"scp from, several", "scp -r -p -f -- /srv/a '/srv/b c'", reads("/srv/a", "/srv/b c")},
		{"scp to", "scp -t /srv", writes("/srv")},
		{"scp of a pattern", "scp -f /srv/*", reads("/srv/*")},
		{"rsync from", "rsync --server --sender -logDtpre.iLsfxCIvu . /srv/", reads("/srv/")},
		{"rsync to", "rsync --server -logDtpre.iLsfxCIvu --delete . /srv/", writes("/srv/")},
		{"rsync as root", "sudo -n rsync --server --sender -e.Ls . /srv/", reads("/srv/")},
		{"git fetch", "git-upload-pack '/srv/repo.git'", reads("/srv/repo.git")},
		{"git fetch, in words", "git upload-pack --strict '/srv/repo.git'", reads("/srv/repo.git")},
		{"git push", "git-receive-pack 'repo.git'", writes("repo.git")},
		{"sftp", "/usr/lib/openssh/sftp-server", ssh.Transfer{SFTP: true}},
		{"tar from", "tar czf - -C /srv a b", reads("/srv/a", "/srv/b")},
		{"tar from here", "cd /srv && tar -cf - .", reads("/srv")},
		{"tar through gzip", "tar cf - /srv | gzip -1", reads("/srv")},
		{"tar to", "tar xzf - -C /srv", writes("/srv")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := (&Grammar{}).Transfer(tt.command)
			require.True(t, ok)
			require.Equal(t, tt.want, got)
		})
	}
	for _, command := range []string{
		"", "ls", "cat /srv/a", "scp", "scp a b:", "scp -f", "scp -f -t /a", "scp -S /tmp/x -f /a", "scp -o ProxyCommand=id -f /a",
		"scp -f /a; cat /b", "scp -f /a | sh", "scp -f $X", "scp -f $(id)", "scp -f /a > /b", "/tmp/scp -f /a", "./scp -f /a", "scp() { cat /b; }; scp -f /a",
		"PATH=/tmp scp -f /a", "alias scp=cat; scp -f /a", "rsync /a /b", "rsync --server --daemon .", "rsync --server --sender", "git status",
		"git-upload-pack", "git-upload-pack a b", "git -c core.x=y upload-pack a", "git-shell -c x", "sftp-server -f x",
		"tar cf /srv/a.tar b", "tar tf -", "tar cf - --to-command=sh a", "tar cf - -I sh a", "tar cf - --checkpoint-action=exec=sh a",
		"tar cf", "tar xcf - a", "scp -f /a && scp -f /b", "scp -f a\x00b",
	} {
		_, ok := (&Grammar{}).Transfer(command)
		require.False(t, ok, command)
	}
}
