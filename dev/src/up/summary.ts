import { dirname, join } from 'node:path';
import { cachedBinaryPath } from '../binaries/cache.ts';
import type { Stack } from '../stack/index.ts';
import { instance, organization } from './order.ts';

/** What people are told to order themselves. */
export const web = 'hello';
/** In the state folder, of an embedded server only. */
export const DATABASE_URL_FILE = 'embedded-database-url';

/** Everything one needs to go on from here. `cli` is where the bundled CLI is; `hasWeb`: the page is ordered already. */
export function summary(stack: Stack, cli: string, hasWeb: boolean): string {
  const key = join(stack.stateDir, 'platform-key');
  const organizationPath = `${stack.apiUrl}/v1/organizations/${organization}`;
  const operatorLog =
    stack.operator.logPath ?? `${kubectl(stack)} logs -n felucca-system deployment/felucca-operator`;
  const logs: [string, string][] = [
    ['control-api', stack.controlApi.logPath],
    ...(stack.postgres.server ? [['postgres', stack.postgres.server.logPath] as [string, string]] : []),
    ['operator', operatorLog],
    ...Object.entries(stack.cluster.logs),
  ];
  const change = `curl -sX PATCH -H "Authorization: Bearer $FELUCCA_KEY" -H 'content-type: application/merge-patch+json' -H 'if-match: *' -d '{"parameters":{"message":"ahoy again"}}' ${organizationPath}/instances/${web}`;
  const order = `curl -sX POST -H "Authorization: Bearer $FELUCCA_KEY" -H 'content-type: application/json' -d '{"name":"${web}","dataPlane":"${stack.dataPlane.name}","blueprint":"web","version":"1.0.0","parameters":{"message":"ahoy"}}' ${organizationPath}/instances`;
  const databaseUrl = stack.postgres.server
    ? `$(cat ${join(stack.stateDir, DATABASE_URL_FILE)})`
    : '<as you gave it>';
  const width = Math.max(...logs.map(([name]) => name.length));
  return `
Felucca is up${stack.realContainers ? '' : ' on simulated nodes: no container runs'}.

  API          ${stack.apiUrl}   (document: ${stack.apiUrl}/openapi.json)
  Key          export FELUCCA_KEY=$(cat ${key})
               a new one: curl -sX POST -H "Authorization: Bearer $FELUCCA_KEY" -H 'content-type: application/json' \\
                 -d '{"name":"me"}' ${stack.apiUrl}/v1/api-keys
  kubeconfig   export KUBECONFIG=${stack.cluster.kubeconfigPath}
  CLI          export PATH=${dirname(cli)}:${dirname(process.execPath)}:$PATH
               then: felucca status, felucca why ${instance}, felucca --help; with kubectl: kubectl felucca status
  For admins   export FELUCCA_URL=${stack.apiUrl} FELUCCA_KEY_DIR=${join(stack.stateDir, 'keys')} \\
                 DATABASE_URL=${databaseUrl}
               then: felucca admin held, felucca admin differences, and the SQL of docs/runbooks

Try next:
  1. What the operator reported about the database:
     curl -s -H "Authorization: Bearer $FELUCCA_KEY" ${organizationPath}/instances/${instance}/observed
  2. ${hasWeb ? `Change the web page "${web}", which is there from the last time` : 'Order a web page'}:
     ${hasWeb ? change : order}
  3. Change what Felucca owns and watch it being set back:
     ${kubectl(stack)} delete service ${instance}-service -n tenant-${organization}; ${kubectl(stack)} get instances,services -n tenant-${organization}

Logs:
${logs.map(([name, path]) => `  ${name.padEnd(width)}  ${path}`).join('\n')}

Ctrl-C or "make down" stops everything and keeps the data; "make down PURGE=1" removes it too.
`;
}

const kubectl = (stack: Stack): string =>
  `${cachedBinaryPath('kubectl')} --kubeconfig ${stack.cluster.kubeconfigPath}`;
