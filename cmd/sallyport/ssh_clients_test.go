package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestSSHClients runs what people run, directly and through the gateway with the
// default rules: same output, same messages, same exit codes. The files that move
// are full of what masking masks on a screen.
func TestSSHClients(t *testing.T) {
	m := openMachine(t, "[connect, exec, shell, file-read, file-write, forward, agent, x11]", "agent_forwarding: true, forwards: ['127.0.0.1:*', 'localhost:*'], "+
		"remote_forwards: ['localhost:*'], sockets: ['/tmp/*'], remote_sockets: ['/tmp/*']", "")
	people := strings.Repeat("7,Ann,ann@example.com,4111111111111111,10.0.0.7\n", 3000)
	require.NoError(t, os.WriteFile(m.file("people"), []byte(people), 0o600))
	const prepare = "rm -rf $L/* $R/*; cp ../people $L/a; cp ../people $R/b; head -c 3000000 /dev/urandom >$L/bin; "
	for _, tt := range []struct{ name, needs, line string }{
		{"exit code and stderr apart", "", "$SSH $H 'echo out; echo err >&2; exit 9'"},
		{"killed by a signal", "", `$SSH $H 'kill -TERM $$'`},
		{"terminal", "", `$SSH -tt $H 'stty size; tty >/dev/null && echo tty; echo $TERM'`},
		{"no command", "", `$SSH $H nosuchcommand`},
		{"stdin by a pipe", "", `printf 'a\nb\n' | $SSH $H 'cat; echo done'`},
		{"stdin that is not read", "", "head -c 3000000 /dev/zero | $SSH $H 'head -c 10 | od -c'"},
		{"output that is not read", "", "{ $SSH $H yes; echo $? >code; } 2>&1 | head -2; cat code"},
		{"no stdin", "", "$SSH -n $H 'cat; echo end'"},
		{"shell by a pipe", "", `printf 'echo in shell\nexit 4\n' | $SSH -T $H`},
		{"a shell as the command", "", `printf 'for i in 1 2; do\n echo $i\ndone\nread x\ndata\necho "$x"; exit 4' | $SSH -T $H bash`},
		{"as editors install themselves", "", `printf 'uname -s; mkdir -p %s/server && cd %s/server && cat >run <<"EOF"\necho installed\nEOF\nsh run; echo end %%s\n' $R $R | $SSH -T -D $(/usr/bin/python3 -c "import socket;s=socket.socket();s.bind(('127.0.0.1',0));print(s.getsockname()[1])") $H sh`},
		{"a file of commands", "", `printf 'echo ran $1\nexit 6\n' >$R/script; $SSH $H "bash $R/script x"; $SSH $H ". /etc/os-release && echo \$ID; export PATH=\$PATH:/usr/games; echo \$PATH"`},
		{"variables", "", "LANG=C.UTF-8 $SSH -o SendEnv=LANG -o SetEnv=LC_SALLY=x $H 'echo $LANG $LC_SALLY'"},
		{"keepalives", "", "$SSH -o ServerAliveInterval=1 $H 'sleep 2; echo alive'"},
		{"in the background", "", "$SSH -f $H 'sleep 0.2; echo forked'; sleep 1"},
		{"a process that stays", "", "$SSH $H 'nohup sleep 3 >/dev/null 2>&1 & echo started'"},
		{"output without its end", "", "$SSH $H 'printf 0000; printf 1234 >&2'"},
		{"long command", "", `$SSH $H "echo $(yes word | head -12000 | tr '\n' ' ')" | cksum`},
		{"quiet", "", "$SSH -q $H 'exit 3'"},
		{"rekeying", "", "head -c 8000000 /dev/zero | $SSH -o RekeyLimit=1M $H 'cat' | cksum"},
		{"other ciphers", "", "for c in chacha20-poly1305@openssh.com aes256-gcm@openssh.com aes128-ctr; do $SSH -c $c $H 'echo ok'; done"},

		{"scp", "", prepare + "scp -q -F $F a bin $H:$R && scp -q -F $F $H:$R/b $H:$R/bin $R/out-; mkdir -p out && scp -q -F $F $H:$R/\\* out && cmp out/a a && cmp out/b a && cmp out/bin bin"},
		{"scp of old", "", prepare + "scp -O -q -F $F a bin $H:$R && mkdir -p out && scp -O -rp -q -F $F $H:$R/\\* out && cmp out/a a && cmp out/b a && cmp out/bin bin"},
		{"scp of nothing", "", "scp -q -F $F $H:$R/nothing ."},
		{"sftp", "", prepare + `printf 'cd %s\nput a x\nchmod 600 x\nrename x y\nsymlink y z\nls -1\nget y c\nrm y\nrm z\nmkdir d\nrmdir d\nput -r out\nbye\n' $R >batch; mkdir -p out; cp a out; sftp -q -F $F -b batch $H 2>&1 | sed 's/  */ /g'; cmp a c`},
		{"sftp by command", "", prepare + `echo "ls -1 $R" | sftp -q -s /usr/lib/openssh/sftp-server -F $F -b - $H`},
		{"rsync", "rsync", prepare + "rsync -a -e \"$SSH\" a bin $H:$R && rsync -a -e \"$SSH\" $H:$R/ out && cmp out/a a && cmp out/b a && cmp out/bin bin && rsync -ai --delete -e \"$SSH\" out/ $H:$R"},
		{"random bytes by cat", "", prepare + `head -c 1048576 /dev/urandom >$R/r; $SSH $H "cat $R/r" | cmp - $R/r && echo same`},
		{"compressed by cat", "", prepare + `gzip -c a >$R/a.gz; $SSH $H "cat $R/a.gz" | gzip -dc | cmp - a && $SSH $H "gzip -c $R/b" | gzip -dc | cmp - $R/b && echo same`},
		{"archive by cat", "tar", `mkdir -p d; seq 1 20000 >d/numbers; cp /etc/services d/; tar cf $R/x.tar d; $SSH $H "cat $R/x.tar" | cmp - $R/x.tar && echo same`},
		{"tar", "tar", prepare + "tar cf - a bin | $SSH $H \"tar xf - -C $R\" && mkdir -p out && $SSH $H \"cd $R && tar czf - .\" | tar xzf - -C out && cmp out/a a && cmp out/b a && cmp out/bin bin"},
		{"git", "git", prepare + `git init -q --bare $R/r.git && git init -q w && cd w && cp ../a . && git add . && git -c user.name=a -c user.email=a@example.com commit -qm x &&
			git push -q $H:$R/r.git HEAD:refs/heads/main && git clone -q -b main $H:$R/r.git ../c && cmp a ../c/a && git fetch -q $H:$R/r.git main && echo fetched`},

		{"forward to a port", "", "$SSH -W 127.0.0.1:$S $H </dev/null 2>&1 | head -c 8"},
		{"forward to a closed port", "", "$SSH -W 127.0.0.1:1 $H </dev/null"},
		{"no command, forwards", "/usr/bin/python3", `echo served >$L/f; /usr/bin/python3 -m http.server -b 127.0.0.1 0 >port 2>&1 & s=$!; touch port; while ! grep -q 'port [0-9]' port; do sleep 0.05; done; p=$(sed -n 's/.*port \([0-9]*\).*/\1/p' port)
			get() { /usr/bin/python3 -c "import urllib.request as u;print(u.urlopen('http://127.0.0.1:$1/f').read().decode().strip())"; }
			free() { /usr/bin/python3 -c "import socket;s=socket.socket();s.bind(('127.0.0.1',0));print(s.getsockname()[1])"; }
			l=$(free); r=$(free); d=$(free); $SSH -N -f -M -S $L/cm -o ExitOnForwardFailure=yes -L $l:127.0.0.1:$p -R $r:localhost:$p -D $d -L /tmp/sally-$$:127.0.0.1:$p -R /tmp/sallyr-$$:127.0.0.1:$p $H
			get $l; get $r; for u in /tmp/sally-$$ /tmp/sallyr-$$; do /usr/bin/python3 -c "
import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.send(b'GET /f HTTP/1.0\r\n\r\n');print(s.makefile().read()[-7:].strip())" $u; done
			/usr/bin/python3 -c "
import socket;s=socket.create_connection(('127.0.0.1',$d));s.send(b'\5\1\0');s.recv(2);s.send(b'\5\1\0\3\x09localhost'+($p).to_bytes(2,'big'));print(s.recv(2));s.recv(99);s.send(b'GET /f HTTP/1.0\r\n\r\n');print(s.makefile().read()[-7:].strip())"
			$SSH -S $L/cm -O cancel -L $l:127.0.0.1:$p $H; get $l 2>/dev/null || echo closed; $SSH -S $L/cm -O exit $H 2>&1; rm -f /tmp/sally-$$ /tmp/sallyr-$$; kill $s`},
		{"agent", "ssh-add", `eval $(ssh-agent) >/dev/null; ssh-add -q $K; $SSH -A $H 'ssh-add -l | wc -l'; $SSH -a $H 'ssh-add -l' >/dev/null 2>&1; echo $?; ssh-agent -k >/dev/null`},
		{"sessions of one connection", "", `$SSH -N -f -M -S $L/cm $H; for i in $(seq 50); do { seq $i | $SSH -S $L/cm $H "cat; exit $i" >o$i 2>/dev/null; echo $i $? $(cksum <o$i) >r$i; } & done; wait; sort -n r*; $SSH -S $L/cm -O exit $H 2>&1`},
		{"PuTTY", "plink", `puttygen $K -o k.ppk && hk=$(ssh-keyscan -T 9 -t ed25519 -p $P $A 2>/dev/null | ssh-keygen -lf - | cut -d' ' -f2); o="-batch -P $P -i k.ppk -hostkey $hk"
			plink $o $U@$A 'echo out; echo err >&2; exit 6'; echo $?; echo hi | plink $o $U@$A cat; plink $o -t $U@$A 'stty size' </dev/null;` + prepare +
			`puttygen $K -o k.ppk; pscp -q $o a $U@$A:$R/p && pscp -q -scp $o $U@$A:$R/p q && cmp a q; printf "cd $R\nget p r\nquit\n" >b; psftp -b b $o $U@$A >/dev/null && cmp a r`},
		{"tmux", "tmux", `t="tmux -L sally-$$ -f /dev/null"; $t new-session -d -x 80 -y 24 "$SSH -t $H"; see() { for i in $(seq 100); do $t capture-pane -p | grep -oE "^$1\$" && return; sleep 0.1; done; echo no $1; $t capture-pane -p; }
			$t send-keys 'PS1=; stty size; echo $((40+2))' Enter; see 42; see '24 80'; $t resize-window -x 111 -y 33; sleep 0.5; $t send-keys 'stty size; echo $((40+3))' Enter; see 43; see '33 111'; $t kill-server`},
		{"paramiko", "/usr/bin/python3", paramiko},
		{"sshfs", "sshfs", `mkdir -p mnt; [ -r /dev/fuse ] || exit 0; echo x >$R/f; sshfs -F $F $H:$R mnt && cat mnt/f && echo new >mnt/n && mv mnt/n mnt/m && ls mnt && cat mnt/m && rm mnt/m; fusermount3 -u mnt`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.needs != "" {
				needs(t, tt.needs)
			}
			m := *m
			m.t = t
			if tt.name == "paramiko" && m.shell("direct", "/usr/bin/python3 -c 'import paramiko'").Code != 0 {
				testserver.Missing(t, "paramiko")
			}
			direct, through := m.shell("direct", tt.line), m.shell("gw", tt.line)
			for tries := 2; tries > 0 && direct != through; tries-- { // the account's own start-up files may have said something
				direct, through = m.shell("direct", tt.line), m.shell("gw", tt.line)
			}
			require.Equal(t, direct, through)
		})
	}
	m.stop(t)
	require.NotContains(t, must(t, "verify", m.file("data/audit")), "NOT AS SEALED")
}

// paramiko is a program for Python's SSH library.
const paramiko = `head -c 1000000 /dev/urandom >bin; /usr/bin/python3 -W ignore -c '
import paramiko,os,threading
e=os.environ
c=paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect(e["A"],int(e["P"]),e["U"],key_filename=e["K"],look_for_keys=False,allow_agent=False)
i,o,r=c.exec_command("echo out; echo err >&2; exit 5"); print(o.read(),r.read(),o.channel.recv_exit_status())
i,o,r=c.exec_command("cat"); i.write("hello"); i.channel.shutdown_write(); print(o.read(),o.channel.recv_exit_status())
i,o,r=c.exec_command("stty size",get_pty=True); print(o.read())
s=c.open_sftp(); s.put("bin",e["R"]+"/bin"); s.get(e["R"]+"/bin","back"); print(open("bin","rb").read()==open("back","rb").read())
f=s.open(e["R"]+"/f","w+"); f.write("abc"); f.seek(1); print(f.read()); f.close(); s.rename(e["R"]+"/f",e["R"]+"/g"); print(s.stat(e["R"]+"/g").st_size); s.remove(e["R"]+"/g")
try: s.stat("/nothing/here")
except IOError as x: print(repr(x))
h=c.invoke_shell(); h.send("exit 3\n")
while h.recv(1000): pass
print(h.recv_exit_status())
def one(n):
    i,o,r=c.exec_command("cat; exit %d"%n); i.write(str(n)*9999); i.channel.shutdown_write(); assert o.read().decode()==str(n)*9999 and o.channel.recv_exit_status()==n
ts=[threading.Thread(target=one,args=(n,)) for n in range(9)]
[t.start() for t in ts];[t.join() for t in ts]
d=c.get_transport().open_channel("direct-tcpip",(e["A"],int(e["P"])),("127.0.0.1",1)) if e["H"]=="direct" else None
c.close()
'`

// TestSSHMenu: who names no resource chooses among those that rules let her
// connect to.
func TestSSHMenu(t *testing.T) {
	m := openMachine(t, "[connect, shell]", "", "")
	got := m.shell("gw", `{ sleep 1; printf 'vm\r'; sleep 1; printf 'echo $((6*7)); exit 5\n'; sleep 1; } | $SSH -tt menu`)
	require.Equal(t, 5, got.Code, got)
	require.Contains(t, got.Out, "Where to?")
	require.Contains(t, got.Out, "vm1")
	require.Contains(t, got.Out, "42\r\n")
	got = m.shell("gw", "$SSH menu id")
	require.Equal(t, ended{Err: "sallyport: no resource was named: connect as alice+RESOURCE\nsallyport:   alice+vm1\n", Code: 255}, got)
}

// TestSSHShellGoesOn: a guardrail stops a line that is typed in a shell, and the
// shell is there for the next.
func TestSSHShellGoesOn(t *testing.T) {
	m := openMachine(t, "[connect, shell]", "", "")
	private, err := os.ReadFile(m.file("alice"))
	require.NoError(t, err)
	key, err := gossh.ParsePrivateKey(private)
	require.NoError(t, err)
	c, err := gossh.Dial("tcp", m.listen, &gossh.ClientConfig{
		User: "alice+vm1", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	require.NoError(t, err)
	defer c.Close()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	screen := &process{}
	s.Stdout, s.Stderr = screen, screen
	require.NoError(t, s.Shell())
	types := func(keys, shows string) {
		t.Helper()
		fmt.Fprint(in, keys)
		require.Eventually(t, func() bool { return strings.Contains(screen.output(), shows) }, 30*time.Second, 10*time.Millisecond, "%q", screen)
	}
	types("exec env -i HISTFILE= PS1='read''y> ' bash --noprofile --norc -i\r", "ready> ")
	types("mkfs.nothing /dev/nowhere\r", "sallyport: this can destroy a file system or a disk (rule no-wiping)")
	types("echo $((6*7))\r", "\n42\r\n")
	fmt.Fprint(in, "exit 5\r")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 5, exit.ExitStatus())
	require.NotContains(t, screen.output(), "not found")
	c.Close()
	m.stop(t)
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", m.config, "-o", "json")).Items
	record := must(t, "sessions", "show", "-c", m.config, list[0].ID)
	require.Regexp(t, `operation.refused.*input.*mkfs.nothing /dev/nowhere`, record)
	require.Regexp(t, `operation.start.*input.*echo`, record)
}
