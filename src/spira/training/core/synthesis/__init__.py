"""Made-up voices for trying the platform without anybody's recordings; they prove nothing clinical.

A cohort is drawn in three steps that never look back: `people` (who, how ill), `voice` and `speech` (what is said),
`scene` (which phone in which ward; it is never told the label). Numpy and scipy only, deterministic by seed.
"""
