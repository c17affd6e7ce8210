import type { Reason } from './conditions.ts';

export interface Remedy {
  /** For whoever reads the condition; `<name>` stands for the object's name. */
  text: string;
  /** Page under docs/runbooks/. */
  runbook?: string;
}

/** What to do about a reason; undefined where nothing is to be done. */
export const REMEDIES: Record<Reason, Remedy | undefined> = {
  AllChildrenReady: undefined,
  ChildrenProgressing: { text: 'wait; the message names what it waits for' },
  ChildFailed: { text: 'the message names the child, the cause and who can help' },
  WaitingForField: { text: 'wait; the message names the field' },
  Suspended: { text: 'resume it' },
  Deleting: { text: 'wait; `DeletionBlocked` appears if something is in the way' },
  BlueprintNotFound: { text: 'publish the version, or correct `blueprintRef`' },
  BlueprintInvalid: {
    text: '`kubectl felucca why blueprint/<name>` says where; publish a corrected version',
  },
  ParametersInvalid: { text: 'correct the named parameters' },
  TenantNotReady: {
    text: '`kubectl get tenants` says what its Tenant lacks; outside the namespace of a Tenant: delete it, and apply it there',
  },
  NamespaceConflict: { text: 'delete or rename the namespace, or rename the organization' },
  NameConflict: { text: 'delete or rename the object that has the name' },
  ApplyRejected: { text: 'correct what the API server names: quota, admission, schema or rights' },
  SealedValueRefused: {
    text: 'send the named parameter again through the API. If nobody moved or edited it, the operator has lost its key: put Secret `felucca-operator-identity` back from a backup',
  },
  SecretNotFound: { text: 'create the Secret in the namespace of the Instance, or correct `secretRef`' },
  GeneratedValueLost: {
    text: 'put the Secret back from a backup, or `kubectl annotate instance <name> -n <namespace> felucca.dev/regenerate=<secret>` and set the new value where it is used. Secrets are not watched: a loss is seen at the next look, after ten minutes at the latest',
  },
  ChangeImpossible: {
    text: 'set the old value again, or bring the change in a Blueprint version whose node has another id, and move the data',
  },
  ReplaceRefused: {
    text: 'set the old value again, or publish a version whose node says `onImmutable: Replace`',
  },
  ExpressionFailed: { text: 'correct the expression in a new Blueprint version' },
  ApiError: { text: 'look at the API server; it is retried by itself' },
  InternalError: {
    text: 'find the object in the operator’s log and report the error; what runs is not touched',
    runbook: 'felucca-reconcile-panics',
  },
  InSync: undefined,
  SpecEdited: { text: 'change it through the API' },
  SignatureInvalid: { text: 'an alarm: who else can write to the database? Check the signing keys' },
  Local: undefined,
  DriftCorrected: { text: 'the message names field and manager: stop who changes it' },
  DriftReported: {
    text: 'decide: set the field back, take its value over into the parameters, or let the Blueprint ignore it',
  },
  RepairsPaused: {
    text: 'stop the other writer that the message names, or let the Blueprint ignore the field',
    runbook: 'felucca-drift-fight',
  },
  VolumeGoing: {
    text: 'copy the data now: the deletion of a claim cannot be taken back, and it ends as soon as no pod uses the volume',
  },
  NoDrift: undefined,
  ChildStillExists: {
    text: 'remove what blocks it: a finalizer, a pod in use, an Instance that still lives',
  },
  DeletionHeld: {
    text: 'find out who deleted; then release the deletions or stop them',
    runbook: 'felucca-deletions-held',
  },
  Valid: undefined,
  KindMismatch: { text: 'correct the named fields in a new Blueprint version, or upgrade the cluster' },
  NamespaceReady: undefined,
  Connected: undefined,
  Disconnected: {
    text: 'is the API up, and does a pod here reach its address, `controlPlane.url` of the chart?',
    runbook: 'felucca-feed-disconnected',
  },
  CredentialRefused: {
    text: 'create a join token and start the operator with it: it joins with a new key',
    runbook: 'felucca-operators-refused',
  },
  JoinTokenMissing: { text: 'give the operator a join token' },
  IdentityUnusable: {
    text: 'give the operator get, create and update on the Secret, or mend the field that the message names; do not delete the Secret',
    runbook: 'felucca-feed-disconnected',
  },
  JoinRefused: { text: 'create a new join token: one works once and for a short time' },
  NotConfigured: { text: 'set `controlPlane.url`, if there is one' },
  Superseded: {
    text: 'uninstall the operator that should not be here; if there is only one, somebody has its key',
    runbook: 'operator-identity',
  },
  RowsRefused: {
    text: 'the message says of each row what is in its way: most often an object that has its name',
    runbook: 'felucca-rows-refused',
  },
};
