#!/bin/bash
# The auditor's procedure over one epoch's folder of an export, without the agent: openssl, jq and the Python standard library.
#   audit-export.sh FOLDER    exit 0 when signature, chain and root hold
set -u
cd "$1" || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
status=0

# 1 signature of the checkpoint
head -3 checkpoint > "$work/cp.txt"
tail -1 checkpoint | awk '{print $NF}' | base64 -d | tail -c +5 > "$work/cp.sig"
if openssl pkey -pubin -in key.pem -noout -text | grep -q ED25519; then
    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in "$work/cp.txt" -sigfile "$work/cp.sig" > "$work/out" 2>&1
else
    openssl dgst -sha256 -verify key.pem -signature "$work/cp.sig" "$work/cp.txt" > "$work/out" 2>&1
fi || { echo "signature: $(head -1 "$work/out")"; status=1; }

# 2 the hash chain, line by line
prev=$(printf 'eucs-agent/evidence/v1/genesis\n%s\n' "$(head -1 checkpoint)" | openssl dgst -sha256 -r | cut -d' ' -f1)
i=0
while IFS= read -r l; do
    if [ "$(jq -r .prev <<< "$l")" != "$prev" ] || [ "$(jq -r .seq <<< "$l")" != "$i" ]; then
        echo "chain: broken at $i"
        status=1
        break
    fi
    prev=$( (printf '\000'; printf '%s' "$l") | openssl dgst -sha256 -r | cut -d' ' -f1)
    i=$((i + 1))
done < log.ndjson

# 3 chain and root once more, in one small script
$python - log.ndjson checkpoint <<'P' || status=1
import hashlib,base64,json,sys
H=lambda b:hashlib.sha256(b).digest()
log,cp=sys.argv[1],sys.argv[2]
origin,size,root=(open(cp,'rb').read().split(b'\n\n')[0]).decode().split('\n')[:3]
prev=H(b'eucs-agent/evidence/v1/genesis\n'+origin.encode()+b'\n').hex(); st=[]; n=0
for line in open(log,'rb'):
    d=line.rstrip(b'\n'); o=json.loads(d)
    assert (o['origin'],o['seq'],o['prev'])==(origin,n,prev),f'chain broken at {n}'
    h=H(b'\0'+d); prev=h.hex(); n+=1
    if n<=int(size):
        st.append((1,h))
        while len(st)>1 and st[-1][0]==st[-2][0]: (a,r),(_,l)=st.pop(),st.pop(); st.append((2*a,H(b'\1'+l+r)))
assert n>=int(size),f'truncated: {n}<{size}'
while len(st)>1: (_,r),(a,l)=st.pop(),st.pop(); st.append((a,H(b'\1'+l+r)))
assert base64.b64decode(root)==(st[0][1] if st else H(b'')),'root mismatch'; print('OK',n,'records, checkpoint at',size)
P
exit $status
