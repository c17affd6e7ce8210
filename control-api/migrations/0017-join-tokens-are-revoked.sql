-- A join token that leaked is deleted by a person, in one transaction with the entry in the audit.
GRANT DELETE ON felucca.join_tokens TO felucca_app;
