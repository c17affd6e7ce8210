import type { Happening } from './world.ts';

/** Histories that were once not as they must be: seed, what happened, and the deletion budget, percent. */
export const FOUND: [seed: number, happenings: Happening[], budget?: number][] = [
  // The same order, placed anew after a restore, had the digest of the one that got lost.
  [
    0,
    [
      { do: 'order', key: 'acme/c', size: 0, afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 400 },
      { do: 'restore', afterMs: 0 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 0 },
    ],
  ],
  // What somebody deleted before the answer to its creation had arrived was never made again.
  [
    401153459,
    [
      { do: 'delete', key: 'acme/b', afterMs: 3000 },
      { do: 'order', key: 'acme/c', size: 1, afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 1, afterMs: 5 },
      { do: 'deleteLocally', key: 'acme/c', afterMs: 400 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 0 },
      { do: 'drain', afterMs: 400 },
      { do: 'order', key: 'acme/d', size: 2, afterMs: 40000 },
      { do: 'order', key: 'acme/b', size: 1, afterMs: 0 },
      { do: 'delete', key: 'acme/d', afterMs: 5 },
    ],
  ],
  // Of two tombstones of one name the newer took the place of the older, whose first attempt had failed.
  [
    1782401507,
    [
      { do: 'order', key: 'acme/d', size: 0, afterMs: 50 },
      { do: 'edit', key: 'acme/c', afterMs: 5 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'order', key: 'acme/c', size: 1, afterMs: 50 },
      { do: 'order', key: 'acme/b', size: 1, afterMs: 50 },
      { do: 'delete', key: 'acme/d', afterMs: 3000 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 5 },
      { do: 'delete', key: 'acme/d', afterMs: 400 },
      { do: 'delete', key: 'acme/c', afterMs: 50 },
    ],
  ],
  // Under a new epoch with the same rows nobody was told of a tombstone, so nobody told its end.
  [
    250408904,
    [
      { do: 'apiAway', afterMs: 3000 },
      { do: 'order', key: 'acme/a', size: 3, afterMs: 3000 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'restore', afterMs: 40000 },
      { do: 'order', key: 'acme/a', size: 1, afterMs: 5 },
      { do: 'delete', key: 'acme/a', afterMs: 400 },
    ],
  ],
  // The end of an owner that never was here was taken for old news, because the name's next owner came first.
  [
    299748985,
    [
      { do: 'order', key: 'acme/c', size: 0, afterMs: 400 },
      { do: 'delete', key: 'acme/c', afterMs: 5 },
      { do: 'clusterFails', afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 50 },
      { do: 'order', key: 'acme/c', size: 2, afterMs: 410 },
      { do: 'crash', afterMs: 0 },
    ],
  ],
  // What somebody deleted here while no operator ran was told as an end, and the new object's status was held back as late.
  [
    600022480,
    [
      { do: 'order', key: 'acme/d', size: 1, afterMs: 3000 },
      { do: 'deleteLocally', key: 'acme/d', afterMs: 400 },
      { do: 'apiBack', afterMs: 0 },
      { do: 'release', afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 5 },
      { do: 'release', afterMs: 5 },
      { do: 'crash', afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 2, afterMs: 0 },
      { do: 'order', key: 'acme/b', size: 1, afterMs: 3000 },
      { do: 'delete', key: 'acme/b', afterMs: 50 },
    ],
  ],
  // The snapshot after a restore named a new owner, who had ended before it was applied: of the former one, whom the database
  // had forgotten and whose object has the name, nobody was told.
  [
    172245911,
    [
      { do: 'order', key: 'acme/c', size: 0, afterMs: 3000 },
      { do: 'order', key: 'acme/c', size: 2, afterMs: 40000 },
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'restore', afterMs: 50 },
      { do: 'crash', afterMs: 5 },
      { do: 'order', key: 'acme/c', size: 1, afterMs: 5 },
      { do: 'delete', key: 'acme/c', afterMs: 3000 },
      { do: 'release', afterMs: 40000 },
    ],
  ],
  // What somebody had edited and then deleted while no operator ran was taken for there as soon as its row came, and once
  // gone it was never made again.
  [
    1398796502,
    [
      { do: 'order', key: 'acme/a', size: 2, afterMs: 400 },
      { do: 'addField', key: 'acme/a', afterMs: 40000 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 3000 },
      { do: 'edit', key: 'acme/b', afterMs: 400 },
      { do: 'apiBack', afterMs: 0 },
      { do: 'deleteLocally', key: 'acme/b', afterMs: 50 },
      { do: 'crash', afterMs: 50 },
    ],
  ],
  // A held deletion outlived the row that wants its object again, because that object was edited while no operator ran: once
  // both sides had compared their rows, it was carried out.
  [
    7921,
    [
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'backup', afterMs: 3000 },
      { do: 'order', key: 'acme/c', size: 1, afterMs: 0 },
      { do: 'restore', afterMs: 3000 },
      { do: 'delete', key: 'acme/a', afterMs: 3000 },
      { do: 'edit', key: 'acme/a', afterMs: 400 },
      { do: 'crash', afterMs: 0 },
      { do: 'restore', afterMs: 0 },
    ],
  ],
  // The answer to a report came after the hello of a restored database, which so was not told what the former one had taken.
  [
    1265076393,
    [
      { do: 'deleteLocally', key: 'acme/b', afterMs: 50 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 50 },
      { do: 'backup', afterMs: 0 },
      { do: 'restoreUnnoticed', afterMs: 5 },
      { do: 'deleteLocally', key: 'acme/b', afterMs: 5 },
      { do: 'crash', afterMs: 5 },
      { do: 'restore', afterMs: 3000 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 400 },
      { do: 'release', afterMs: 0 },
      { do: 'cut', afterMs: 5 },
    ],
  ],
  // A person released a held deletion while the name's next owner waited for it in the lane: it was forgotten, and the next
  // owner was told that nobody had ended the former.
  [
    213527143,
    [
      { do: 'order', key: 'acme/b', size: 1, afterMs: 50 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 3000 },
      { do: 'delete', key: 'acme/b', afterMs: 40000 },
      { do: 'compact', afterMs: 400 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 3, afterMs: 40000 },
      { do: 'order', key: 'acme/b', size: 3, afterMs: 50 },
      { do: 'cut', afterMs: 400 },
      { do: 'edit', key: 'acme/d', afterMs: 5 },
      { do: 'release', afterMs: 5 },
    ],
    0,
  ],
  // An edit was about to be set back, again, when a snapshot brought the row once more: with nothing to write, that row ended
  // the work in whose place it came.
  [
    1451609464,
    [
      { do: 'order', key: 'acme/b', size: 0, afterMs: 5 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 50 },
      { do: 'edit', key: 'acme/d', afterMs: 3000 },
      { do: 'apiAway', afterMs: 5 },
      { do: 'edit', key: 'acme/c', afterMs: 0 },
      { do: 'clusterFails', afterMs: 50 },
      { do: 'edit', key: 'acme/c', afterMs: 5 },
      { do: 'edit', key: 'acme/b', afterMs: 3000 },
      { do: 'delete', key: 'acme/a', afterMs: 3000 },
      { do: 'compact', afterMs: 400 },
    ],
  ],
  // Of two that wanted one name after a restore the newer one's tombstone, then its row, was forged and refused: nobody was
  // told of the older one, whom the database had forgotten and whose object has the name.
  [
    1834566340,
    [
      { do: 'forgeRow', key: 'acme/d', afterMs: 50 },
      { do: 'delete', key: 'acme/a', afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 50 },
      { do: 'restoreUnnoticed', afterMs: 3000 },
      { do: 'edit', key: 'acme/c', afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 3, afterMs: 400 },
      { do: 'forgeEnd', key: 'acme/b', afterMs: 3000 },
    ],
    0,
  ],
  [
    626723830,
    [
      { do: 'cut', afterMs: 0 },
      { do: 'delete', key: 'acme/d', afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 0 },
      { do: 'restoreUnnoticed', afterMs: 3000 },
      { do: 'delete', key: 'acme/c', afterMs: 50 },
      { do: 'order', key: 'acme/d', size: 2, afterMs: 0 },
      { do: 'delete', key: 'acme/c', afterMs: 5 },
      { do: 'forgeRow', key: 'acme/d', afterMs: 50 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 400 },
    ],
    100,
  ],
  // A deletion came between the row that holds all of them and the event that said so.
  [
    1993198743,
    [
      { do: 'order', key: 'acme/b', size: 0, afterMs: 5 },
      { do: 'forgeEnd', key: 'acme/a', afterMs: 50 },
      { do: 'delete', key: 'acme/b', afterMs: 400 },
    ],
    0,
  ],
  // Applied at last, after a snapshot of the restored database that did not name it: nobody was told of it.
  [
    1214609322,
    [
      { do: 'forgeEnd', key: 'acme/a', afterMs: 5 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 40000 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'addField', key: 'acme/d', afterMs: 400 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 50 },
      { do: 'restore', afterMs: 0 },
      { do: 'drain', afterMs: 3000 },
      { do: 'delete', key: 'acme/c', afterMs: 40000 },
    ],
    100,
  ],
  // A deletion was taken back while the cluster answered badly, and others were released. Its object went on to say that it is
  // held; after the next start of an operator it was deleted with the next release, although it was wanted and known to be.
  [
    15,
    [
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 40000 },
      { do: 'clusterFails', afterMs: 40000 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'release', afterMs: 3000 },
    ],
    0,
  ],
  [
    8,
    [
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 40000 },
      { do: 'clusterFails', afterMs: 40000 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'release', afterMs: 400 },
      { do: 'crash', afterMs: 3000 },
      { do: 'release', afterMs: 400 },
    ],
    0,
  ],
  // A held deletion was carried out after its Instance was wanted again, by an operator that did not know yet: of the object that
  // was made anew nothing was told, because its end waited to be told.
  [
    1562,
    [
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 40000 },
      { do: 'clusterFails', afterMs: 40000 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'release', afterMs: 1200 },
      { do: 'crash', afterMs: 50 },
      { do: 'release', afterMs: 400 },
    ],
    0,
  ],
  // The former owner's removal was held and known, the next owner's row only to the process before: taken for old, that row was
  // missing until a new epoch began.
  [
    5,
    [
      { do: 'order', key: 'acme/b', size: 1, afterMs: 0 },
      { do: 'backup', afterMs: 3000 },
      { do: 'order', key: 'acme/a', size: 1, afterMs: 0 },
      { do: 'restore', afterMs: 40000 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 0 },
      { do: 'removeUnknown', afterMs: 40000 },
      { do: 'compact', afterMs: 40000 },
      { do: 'crash', afterMs: 40000 },
    ],
    0,
  ],
  // A deletion that is held was lost with its tombstone: neither among those that are held nor among the unknown objects.
  [
    383808666,
    [
      { do: 'cut', afterMs: 0 },
      { do: 'order', key: 'acme/c', size: 3, afterMs: 3000 },
      { do: 'forgeRow', key: 'acme/c', afterMs: 3000 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 5 },
      { do: 'release', afterMs: 400 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 40000 },
      { do: 'cut', afterMs: 5 },
      { do: 'delete', key: 'acme/b', afterMs: 3000 },
      { do: 'restore', afterMs: 3000 },
    ],
    0,
  ],
  // Of two owners of a name the former was deleted by the default budget, while the row that holds all of them was being applied.
  [
    18,
    [
      { do: 'order', key: 'acme/a', size: 1, afterMs: 5 },
      { do: 'cut', afterMs: 0 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 400 },
      { do: 'order', key: 'acme/d', size: 1, afterMs: 50 },
      { do: 'delete', key: 'acme/b', afterMs: 50 },
      { do: 'order', key: 'acme/c', size: 2, afterMs: 0 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 50 },
      { do: 'edit', key: 'acme/a', afterMs: 400 },
      { do: 'drain', afterMs: 3000 },
      { do: 'budget', percent: 100, afterMs: 400 },
    ],
    0,
  ],
  // Edited while a forged tombstone had taken it out of the feed, and the same when its row came back: taken for as it should be.
  [
    10,
    [
      { do: 'order', key: 'acme/b', size: 2, afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 5 },
      { do: 'backup', afterMs: 3000 },
      { do: 'forgeEnd', key: 'acme/b', afterMs: 40000 },
      { do: 'edit', key: 'acme/b', afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 40000 },
      { do: 'restore', afterMs: 3000 },
    ],
    0,
  ],
  // The second restored database had the same rows as the first, so that its epoch was adopted; what the feed did not name kept
  // the revision of before, by which the next order of that name was taken for old until a new epoch began.
  [
    1421641939,
    [
      { do: 'delete', key: 'acme/c', afterMs: 0 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 400 },
      { do: 'order', key: 'acme/c', size: 2, afterMs: 50 },
      { do: 'releaseNamed', afterMs: 3000 },
      { do: 'addField', key: 'acme/d', afterMs: 5 },
      { do: 'restore', afterMs: 40000 },
      { do: 'apiBack', afterMs: 40000 },
      { do: 'restore', afterMs: 3000 },
      { do: 'order', key: 'acme/c', size: 2, afterMs: 3000 },
      { do: 'order', key: 'acme/d', size: 3, afterMs: 50 },
    ],
  ],
  // The end of another owner of the name took the word back.
  [
    865084623,
    [
      { do: 'order', key: 'acme/d', size: 1, afterMs: 50 },
      { do: 'takeBack', afterMs: 3000 },
      { do: 'order', key: 'acme/c', size: 3, afterMs: 40000 },
      { do: 'order', key: 'acme/d', size: 3, afterMs: 50 },
      { do: 'delete', key: 'acme/d', afterMs: 40000 },
      { do: 'order', key: 'acme/d', size: 1, afterMs: 0 },
      { do: 'release', afterMs: 5 },
      { do: 'delete', key: 'acme/b', afterMs: 5 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'delete', key: 'acme/d', afterMs: 5 },
    ],
    0,
  ],
  // The object whose deletion is held had no stamp yet, so that there was nothing to tell of it by.
  [
    2118138947,
    [
      { do: 'budget', percent: 0, afterMs: 400 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 400 },
      { do: 'crash', afterMs: 400 },
      { do: 'delete', key: 'acme/c', afterMs: 50 },
      { do: 'order', key: 'acme/c', size: 3, afterMs: 400 },
      { do: 'restore', afterMs: 3000 },
      { do: 'delete', key: 'acme/a', afterMs: 3000 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'apiAway', afterMs: 400 },
      { do: 'removeUnknown', afterMs: 0 },
    ],
    0,
  ],
  // A former owner's end, which came with the next owner's row and is the newer of the two, made that row old at its next attempt.
  [
    428875384,
    [
      { do: 'removeUnknown', afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 2, afterMs: 5 },
      { do: 'removeUnknown', afterMs: 40000 },
      { do: 'crash', afterMs: 0 },
      { do: 'restore', afterMs: 0 },
      { do: 'drain', afterMs: 40000 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 40000 },
      { do: 'removeUnknown', afterMs: 0 },
    ],
    100,
  ],
  // The answer to the write that holds a deletion got lost, and what was ordered again kept it.
  [
    352310503,
    [
      { do: 'delete', key: 'acme/a', afterMs: 40000 },
      { do: 'deleteLocally', key: 'acme/a', afterMs: 400 },
      { do: 'clusterFails', afterMs: 0 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 40000 },
      { do: 'delete', key: 'acme/d', afterMs: 400 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 40000 },
    ],
    0,
  ],
  // The refusal of a tombstone of the former epoch was taken for one of the row that has its revision now.
  [
    1849862696,
    [
      { do: 'clusterFails', afterMs: 40000 },
      { do: 'compact', afterMs: 0 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 50 },
      { do: 'delete', key: 'acme/a', afterMs: 400 },
      { do: 'restore', afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 0 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 400 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 3000 },
    ],
    0,
  ],
  // What somebody deleted was made again while its row left the feed with the epoch, and nobody was told.
  [
    661002920,
    [
      { do: 'order', key: 'acme/a', size: 0, afterMs: 0 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 3000 },
      { do: 'takeBack', afterMs: 0 },
      { do: 'restore', afterMs: 3000 },
      { do: 'addField', key: 'acme/d', afterMs: 0 },
      { do: 'deleteLocally', key: 'acme/d', afterMs: 400 },
    ],
  ],
  // What was made again beside the feed was forgotten when the watch told, late, of the end of the object before it.
  [
    1330268862,
    [
      { do: 'compact', afterMs: 40000 },
      { do: 'apiBack', afterMs: 40000 },
      { do: 'deleteLocally', key: 'acme/a', afterMs: 0 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 0 },
      { do: 'clusterWorks', afterMs: 3000 },
      { do: 'addField', key: 'acme/c', afterMs: 0 },
      { do: 'deleteLocally', key: 'acme/c', afterMs: 400 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 50 },
      { do: 'restore', afterMs: 0 },
    ],
  ],
  // That a deletion is held was hidden by the refusal of what somebody had made of the name's next owner.
  [
    0,
    [
      { do: 'order', key: 'acme/a', size: 0, afterMs: 0 },
      { do: 'delete', key: 'acme/a', afterMs: 400 },
      { do: 'order', key: 'acme/a', size: 0, afterMs: 0 },
      { do: 'forgeEnd', key: 'acme/a', afterMs: 0 },
    ],
    0,
  ],
  // A row that waited for its name was worked on for ever after it had left the feed, and nobody was told who has the name.
  [
    2110782826,
    [
      { do: 'order', key: 'acme/b', size: 0, afterMs: 50 },
      { do: 'order', key: 'acme/d', size: 1, afterMs: 400 },
      { do: 'addField', key: 'acme/a', afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 3, afterMs: 5 },
      { do: 'order', key: 'acme/d', size: 2, afterMs: 0 },
      { do: 'restore', afterMs: 400 },
      { do: 'clusterFails', afterMs: 50 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 5 },
      { do: 'deleteLocally', key: 'acme/a', afterMs: 40000 },
      { do: 'restoreUnnoticed', afterMs: 50 },
    ],
    0,
  ],
  // What a row had begun when it left the feed stayed without its stamp, and nobody was told.
  [
    1146871525,
    [
      { do: 'clusterFails', afterMs: 3000 },
      { do: 'budget', percent: 100, afterMs: 40000 },
      { do: 'takeBack', afterMs: 50 },
      { do: 'order', key: 'acme/d', size: 0, afterMs: 3000 },
      { do: 'clusterFails', afterMs: 50 },
      { do: 'restoreUnnoticed', afterMs: 400 },
      { do: 'delete', key: 'acme/d', afterMs: 40000 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 400 },
      { do: 'addField', key: 'acme/a', afterMs: 40000 },
      { do: 'takeBack', afterMs: 50 },
    ],
    0,
  ],
  // What was made again while the report of its end was on its way stayed ended in the control plane.
  [
    385918903,
    [
      { do: 'apiBack', afterMs: 5 },
      { do: 'order', key: 'acme/a', size: 2, afterMs: 5 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 0 },
      { do: 'takeBack', afterMs: 40000 },
      { do: 'apiBack', afterMs: 50 },
      { do: 'budget', percent: 0, afterMs: 50 },
      { do: 'deleteLocally', key: 'acme/c', afterMs: 40000 },
      { do: 'drain', afterMs: 400 },
      { do: 'clusterWorks', afterMs: 5 },
      { do: 'crash', afterMs: 5 },
    ],
  ],
  // What was only begun when its deletion was held said so for ever, once a person took that back and it restarted.
  [
    475734891,
    [
      { do: 'addField', key: 'acme/a', afterMs: 40000 },
      { do: 'clusterFails', afterMs: 5 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 40000 },
      { do: 'delete', key: 'acme/c', afterMs: 400 },
      { do: 'delete', key: 'acme/a', afterMs: 3000 },
      { do: 'takeBack', afterMs: 3000 },
      { do: 'crash', afterMs: 5 },
    ],
    0,
  ],
  // A database that was put back and written to its former head again looked unchanged to its streams until they ended.
  [
    4,
    [
      { do: 'budget', percent: 0, afterMs: 3000 },
      { do: 'restoreUnnoticed', afterMs: 400 },
      { do: 'budget', percent: 100, afterMs: 0 },
    ],
    0,
  ],
  // No mistake: somebody wrote over the row that took a held deletion back, and only that is told.
  [
    575266328,
    [
      { do: 'cut', afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 0, afterMs: 400 },
      { do: 'order', key: 'acme/b', size: 2, afterMs: 5 },
      { do: 'clusterWorks', afterMs: 50 },
      { do: 'delete', key: 'acme/b', afterMs: 40000 },
      { do: 'addField', key: 'acme/c', afterMs: 40000 },
      { do: 'cut', afterMs: 400 },
      { do: 'takeBack', afterMs: 40000 },
      { do: 'forgeEnd', key: 'acme/d', afterMs: 5 },
      { do: 'forgeRow', key: 'acme/b', afterMs: 0 },
    ],
    0,
  ],
  // Not found but guarded: a person takes one deletion back and releases the others.
  [
    856764738,
    [
      { do: 'takeBack', afterMs: 0 },
      { do: 'order', key: 'acme/c', size: 0, afterMs: 400 },
      { do: 'order', key: 'acme/c', size: 1, afterMs: 40000 },
      { do: 'delete', key: 'acme/c', afterMs: 5 },
      { do: 'order', key: 'acme/b', size: 1, afterMs: 0 },
      { do: 'delete', key: 'acme/d', afterMs: 0 },
      { do: 'delete', key: 'acme/b', afterMs: 5 },
      { do: 'addField', key: 'acme/c', afterMs: 5 },
      { do: 'takeBack', afterMs: 3000 },
      { do: 'release', afterMs: 3000 },
    ],
    0,
  ],
];
