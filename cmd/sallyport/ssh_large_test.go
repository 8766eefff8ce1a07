package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSSHLarge is for "make clients": clients that are too large to install for
// every run of the tests, and transfers that take long.
func TestSSHLarge(t *testing.T) {
	if os.Getenv("SALLYPORT_CLIENTS") == "" {
		t.Skip("\"make clients\" runs it")
	}
	m := openMachine(t, "[connect, exec, shell, file-read, file-write]", "", "")
	const inventory = `export ANSIBLE_SSH_ARGS="-F $F -o ControlMaster=auto -o ControlPersist=10s -o ControlPath=$L/%h" ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_HOME=$L/.ansible
		printf 'vm ansible_host=%s ansible_python_interpreter=/usr/bin/python3\n' $H >inventory; `
	const large = "[ -f ../large ] || head -c 1073741824 /dev/urandom >../large; "
	for _, tt := range []struct{ name, needs, line string }{
		{"Ansible's ping", "ansible", inventory + "ansible -o -i inventory vm -m ping"},
		{"Ansible with pipelining", "ansible", inventory + "ANSIBLE_PIPELINING=True ansible -o -i inventory vm -m command -a 'echo hello'"},
		{"Ansible's copy and fetch", "ansible", inventory + `yes ann@example.com | head -5000 >f; ansible -o -i inventory vm -m copy -a "src=f dest=$R/f" | grep -o '"checksum": "[^"]*"'; ansible -o -i inventory vm -m fetch -a "src=$R/f dest=g flat=yes" >/dev/null; cmp f g`},
		{"asyncssh", "/usr/bin/python3", "cat >c.py <<'E'\n" + asyncsshClient + "\nE\ntimeout 30 /usr/bin/python3 -u -W ignore c.py 2>&1"},
		{"Dropbear", "dbclient", `dropbearconvert openssh dropbear $K k 2>/dev/null; d() { dbclient -y -y -i k -p $P "$@" 2>err; e=$?; grep -v '^$\|Caution\|agent' err >&2; return $e; }
			d $U@$A 'echo out; echo err >&2; exit 6'; echo $?; seq 100000 | d $U@$A cat | cksum; printf 'echo in a shell\nexit 4\n' | d -T $U@$A; echo $?
			head -c 3000000 /dev/urandom >f; d $U@$A "cat >$R/f" <f; d $U@$A "cat $R/f" | cmp - f && echo same; d $U@$A 'kill -TERM $$'; echo $?`},
		{"Node's ssh2", "node", "cat >c.js <<'E'\n" + nodeClient + "\nE\nnode c.js"},
		{"1 GiB by scp", "", large + "scp -q -F $F ../large $H:$R/l && scp -q -F $F $H:$R/l back && cmp back ../large; rm -f back $R/l"},
		{"1 GiB by scp of old", "", large + "scp -O -q -F $F ../large $H:$R/l && scp -O -q -F $F $H:$R/l back && cmp back ../large; rm -f back $R/l"},
		{"1 GiB by cat", "", large + "$SSH $H \"cat >$R/l\" <../large && $SSH $H \"cat $R/l\" >back && cmp back ../large; rm -f back $R/l"},
		{"1 GiB by rsync, keys changed every MiB", "rsync", large + "rsync -e \"$SSH -o RekeyLimit=1M\" ../large $H:$R/l && cmp $R/l ../large; rm -f $R/l"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.needs != "" {
				needs(t, tt.needs)
			}
			m := *m
			m.t, m.patience = t, largeTime
			direct := m.shell("direct", tt.line)
			require.Zero(t, direct.Code, "%s%s", direct.Out, direct.Err)
			require.Equal(t, direct, m.shell("gw", tt.line))
		})
	}
	m.stop(t)
}

// largeTime is for moving a GiB four times on a busy machine.
const largeTime = 10 * time.Minute

// asyncsshClient is a program for Python's other SSH library.
const asyncsshClient = `import asyncio, os, asyncssh
e = os.environ
async def main():
    async with asyncssh.connect(e["A"], int(e["P"]), username=e["U"], client_keys=[e["K"]], known_hosts=None, agent_path=None, config=None) as c:
        r = await c.run("echo out; echo err >&2; exit 5")
        print(r.stdout, r.stderr, r.exit_status)
        print((await c.run("kill -TERM $$")).exit_signal)
        print((await c.run("cat", input="x" * 300000)).stdout.count("x"))
        print((await c.run("stty size", term_type="xterm", term_size=(77, 20))).stdout)
        print([(len(r.stdout), r.exit_status) for r in await asyncio.gather(*(c.run("cat; exit %d" % n, input="y" * n * 999) for n in range(1, 9)))])
        p = await c.create_process(term_type="xterm", term_size=(80, 24))
        p.stdin.write("PS1=; echo $((6*7))\n")
        while "42" not in await p.stdout.readline(): pass
        p.change_terminal_size(99, 33)
        p.stdin.write("stty size\nexit 3\n")
        print("33 99" in await p.stdout.read(), (await p.wait()).exit_status)
        data = os.urandom(2000000)
        open("bin", "wb").write(data)
        async with c.start_sftp_client() as f:
            await f.put("bin", e["R"] + "/bin")
            await f.get(e["R"] + "/bin", "back")
            print(open("back", "rb").read() == data, (await f.stat(e["R"] + "/bin")).size)
            async with f.open(e["R"] + "/t", "w+") as t:
                await t.write("one\ntwo\n"); await t.seek(4); print(await t.read())
            await f.rename(e["R"] + "/t", e["R"] + "/s"); await f.symlink("s", e["R"] + "/l"); print(await f.readlink(e["R"] + "/l"), sorted(x for x in await f.listdir(e["R"]) if x in "ls"))
            await f.remove(e["R"] + "/s"); await f.remove(e["R"] + "/l")
            try: await f.stat("/nothing/here")
            except asyncssh.SFTPError as x: print(x.code, x.reason)
        await asyncssh.scp("bin", (c, e["R"] + "/scp")); await asyncssh.scp((c, e["R"] + "/scp"), "again"); print(open("again", "rb").read() == data)
        try: await c.open_connection("127.0.0.1", 1)
        except asyncssh.ChannelOpenError as x: print("refused")
asyncio.run(main())`

// nodeClient is a program for Node's SSH library.
const nodeClient = `const {Client}=require('ssh2'),fs=require('fs'),e=process.env;
fs.writeFileSync('bin',require('crypto').randomBytes(3e6));
const run=(c,cmd,input)=>new Promise((ok,no)=>c.exec(cmd,(err,s)=>{if(err)return no(err);let o='',r='';s.on('data',d=>o+=d);s.stderr.on('data',d=>r+=d);s.on('close',(code,sig)=>ok([o,r,code,sig]));s.end(input)}));
const call=(f,...a)=>new Promise((ok,no)=>f(...a,(err,v)=>err?no(err):ok(v)));
const c=new Client();
c.on('ready',async()=>{try{
console.log(await run(c,'echo out; echo err >&2; exit 5'));
console.log(await run(c,'cat','hi there'));
console.log((await Promise.all([...Array(8).keys()].map(n=>run(c,'cat; exit '+n,'x'.repeat(n*9999))))).map(([o,,code])=>[o.length,code]));
const f=await call(c.sftp.bind(c));
await call(f.fastPut.bind(f),'bin',e.R+'/bin');await call(f.fastGet.bind(f),e.R+'/bin','back');
console.log(Buffer.compare(fs.readFileSync('bin'),fs.readFileSync('back')),(await call(f.readdir.bind(f),e.R)).length>0);
await call(f.stat.bind(f),'/nothing').catch(x=>console.log(x.message));
const s=await call(c.shell.bind(c),{cols:77,rows:20});let o='';s.on('data',d=>o+=d);s.write('stty size\n');setTimeout(()=>{s.setWindow(33,99,0,0);s.write('stty size\nexit 2\n')},1500);
s.on('close',code=>{console.log(/20 77/.test(o),/33 99/.test(o),code);c.end()});
}catch(x){console.log('failed',x.message);c.end()}}).on('error',x=>console.log('error',x.message)).connect({host:e.A,port:+e.P,username:e.U,privateKey:fs.readFileSync(e.K)});`
