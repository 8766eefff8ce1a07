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
			require.Equal(t, m.shell("direct", tt.line), m.shell("gw", tt.line))
		})
	}
	m.stop(t)
}

// largeTime is for moving a GiB four times on a busy machine.
const largeTime = 10 * time.Minute

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
