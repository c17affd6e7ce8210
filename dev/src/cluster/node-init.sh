#!/bin/bash
# One Kubernetes node in namespaces. Called twice: `outside` on the host makes the wire and the namespaces,
# `inside` is process 1 of them. Killing `outside` removes the node with every process, mount and link in it.
# Arguments come as FELUCCA_* variables, configuration files as a folder; see real-nodes.ts.
set -euo pipefail

outside() {
  rm -f "$FELUCCA_NODE_DIR/containerd-is-up" "$FELUCCA_NODE_DIR/pid"
  ip link del "$FELUCCA_LINK" 2>/dev/null || true # of a killed run of the same node
  ip link add "$FELUCCA_LINK" type veth peer name "$FELUCCA_LINK"p
  ip link set "$FELUCCA_LINK" master "$FELUCCA_BRIDGE" up
  make_cgroups
  setpriv --pdeathsig KILL unshare --mount --net --pid --fork --mount-proc --propagation private \
    --kill-child=KILL bash "$0" inside &
  local unshare_pid=$! init_pid=
  for _ in $(seq 250); do
    read -r init_pid _ <"/proc/$unshare_pid/task/$unshare_pid/children" || true
    [ -z "$init_pid" ] || break
    sleep 0.02
  done
  [ -n "$init_pid" ] || { echo "unshare made no process; does this kernel allow namespaces here?" >&2; exit 1; }
  ip link set "$FELUCCA_LINK"p netns "$init_pid" name eth0
  echo "$init_pid" >"$FELUCCA_NODE_DIR/pid"
  trap 'kill -TERM "$init_pid" 2>/dev/null' TERM
  wait "$unshare_pid" || wait "$unshare_pid" || true # the first returns early on a signal
}

# cgroup v1: one folder per controller. v2: one folder, and its parent must hand the controllers down.
make_cgroups() {
  local root=/sys/fs/cgroup controller
  if [ -f "$root/cgroup.controllers" ]; then
    for controller in cpuset cpu io memory pids hugetlb; do
      echo "+$controller" >"$root/cgroup.subtree_control" 2>/dev/null || true
    done
    mkdir -p "$root/$FELUCCA_CGROUP"
    grep -qw memory "$root/$FELUCCA_CGROUP/cgroup.controllers" ||
      { echo "cgroup v2 hands no memory controller to $root/$FELUCCA_CGROUP; run outside a container" >&2; exit 1; }
  else
    for controller in "$root"/*/; do mkdir -p "$controller$FELUCCA_CGROUP" 2>/dev/null || true; done
  fi
}

inside() {
  # All state of a node is in memory and dies with it; only volumes and logs are on the host's disk.
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /var/log
  case "$FELUCCA_NODE_DIR:$PATH" in
    */var/lib/*) mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni ;;
    *) mount -t tmpfs tmpfs /var/lib ;;
  esac
  mkdir -p /run/felucca/{containerd,kubelet,volume-plugins} /var/lib/cni /run/felucca/sysctl
  hide_sysctls
  use_unpacked_libraries
  wire

  containerd --config "$FELUCCA_NODE_DIR/containerd.toml" >>"$FELUCCA_LOG.containerd.log" 2>&1 &
  until ctr --address /run/felucca/containerd.sock version >/dev/null 2>&1; do sleep 0.05; done
  ctr --address /run/felucca/containerd.sock --namespace k8s.io images import "$FELUCCA_PAUSE_ARCHIVE" >/dev/null
  while read -r archive; do # what earlier starts were given; a missing file is reported by our caller
    [ ! -e "$archive" ] || ctr --address /run/felucca/containerd.sock --namespace k8s.io images import "$archive"
  done < <(cat "$FELUCCA_IMAGE_LIST" 2>/dev/null)
  touch "$FELUCCA_NODE_DIR/containerd-is-up"
  until [ -e "$FELUCCA_NODE_DIR/../control-plane-is-up" ]; do sleep 0.05; done
  kubelet --config "$FELUCCA_NODE_DIR/kubelet.yaml" --kubeconfig "$FELUCCA_NODE_DIR/kubelet.kubeconfig" \
    --hostname-override "$FELUCCA_NODE" --node-ip "$FELUCCA_ADDRESS" --root-dir /run/felucca/kubelet \
    --cert-dir /run/felucca/kubelet/pki >>"$FELUCCA_LOG.kubelet.log" 2>&1 &
  kube-proxy --config "$FELUCCA_NODE_DIR/kube-proxy.yaml" >>"$FELUCCA_LOG.kube-proxy.log" 2>&1 &
  trap 'exit 0' TERM # when process 1 goes, the kernel ends the rest
  while :; do wait -n || sleep 1; done
}

# The kubelet insists on these and would change them for the whole machine. It reads what it wants to read here,
# so it writes nothing and nothing has to be put back.
hide_sysctls() {
  local setting
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    local name=${setting%%=*} file
    file=/run/felucca/sysctl/${name//\//.}
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/$name"
  done
}

# runc starts itself again with a bare environment, so LD_LIBRARY_PATH would be lost; the loader's cache is not.
use_unpacked_libraries() {
  [ -n "$FELUCCA_LIBRARIES" ] || return 0
  { tr ':' '\n' <<<"$FELUCCA_LIBRARIES"; cat /etc/ld.so.conf 2>/dev/null || true; } >/run/felucca/ld.so.conf
  /sbin/ldconfig -X -C /run/felucca/ld.so.cache -f /run/felucca/ld.so.conf 2>/dev/null
  mount --bind /run/felucca/ld.so.cache /etc/ld.so.cache
}

wire() {
  local route
  for _ in $(seq 250); do
    ip link show eth0 >/dev/null 2>&1 && break
    sleep 0.02
  done
  ip link set lo up
  ip addr add "$FELUCCA_ADDRESS/24" dev eth0
  ip link set eth0 up
  ip route add default via "$FELUCCA_GATEWAY"
  for route in $FELUCCA_ROUTES; do ip route add "${route%%=*}" via "${route#*=}"; done # pods of other nodes
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

"$1"
