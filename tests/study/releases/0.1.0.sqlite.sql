BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'stored');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',1,1);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'space','{"objectives": [{"metric": "exact", "direction": "Maximize"}, {"metric": "parameter_count", "direction": "Minimize"}], "parameters": [{"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, "log": true, "step": null, "choices": null, "when": null}, {"name": "n_layers", "type": "Int", "low": 1, "high": 6, "log": false, "step": null, "choices": null, "when": null}, {"name": "layer_selection", "type": "Categorical", "low": null, "high": null, "log": false, "step": null, "choices": ["First", "EvenlySpaced"], "when": null}, {"name": "dropout", "type": "Float", "low": 0, "high": 0.4, "log": false, "step": 0.1, "choices": null, "when": {"parameter": "n_layers", "values": null, "minimum": 4, "maximum": null}}]}');
INSERT INTO "study_user_attributes" VALUES(2,1,'started','1000.0');
INSERT INTO "study_user_attributes" VALUES(3,1,'preparation','{"key": "key", "teacher": {"exact": 90.0, "HasAns_exact": 88.0, "NoAns_exact": 92.0}, "sources": {"teacher": {"family": "bert", "vocab_size": 1000, "max_position_embeddings": 128, "hidden_size": 96, "intermediate_size": 384, "n_layers": 6, "n_heads": 6, "type_vocab_size": 2}}, "seconds": 30.0, "gpus": 1.0}');
INSERT INTO "study_user_attributes" VALUES(4,1,'warm:earlier','[{"number": 0, "parameters": {"learning_rate": 0.1, "n_layers": 6, "layer_selection": "First", "dropout": 0.3}, "state": "Completed", "expected": {}, "metrics": {"exact": 55.0, "HasAns_exact": 50.0, "NoAns_exact": 60.0, "parameter_count": 779906.0}, "ended": 200.0}, {"number": 1, "parameters": {"learning_rate": 0.02713659126825075, "n_layers": 3, "layer_selection": "EvenlySpaced"}, "state": "Completed", "expected": {}, "metrics": {"exact": 61.0, "HasAns_exact": 56.0, "NoAns_exact": 66.0, "parameter_count": 444386.0}, "ended": 201.0}, {"number": 2, "parameters": {"learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "state": "Completed", "expected": {}, "metrics": {"exact": 58.0, "HasAns_exact": 53.0, "NoAns_exact": 63.0, "parameter_count": 220706.0}, "ended": 202.0}, {"number": 3, "parameters": {"learning_rate": 0.08115733735895435, "n_layers": 5, "layer_selection": "First", "dropout": 0.1}, "state": "Infeasible", "expected": {}, "metrics": {"parameter_count": 668066.0}, "ended": 210.0}]');
INSERT INTO "study_user_attributes" VALUES(5,1,'collected','[5]');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'learning_rate',0.1,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'n_layers',6.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(3,1,'layer_selection',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(4,1,'dropout',0.3,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO "trial_params" VALUES(5,2,'learning_rate',2.71365912682507495756e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(6,2,'n_layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(7,2,'layer_selection',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(8,3,'learning_rate',2.42717051013743578824e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(9,3,'n_layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(10,3,'layer_selection',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(11,4,'learning_rate',8.11573373589543484163e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(12,4,'n_layers',5.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(13,4,'layer_selection',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(14,4,'dropout',0.1,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO "trial_params" VALUES(15,5,'learning_rate',7.25893292830020242512e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(16,5,'n_layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(17,5,'layer_selection',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(18,5,'dropout',0.2,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.4, "log": false}}');
INSERT INTO "trial_params" VALUES(19,6,'learning_rate',1.56916656190049380592e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(20,6,'n_layers',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(21,6,'layer_selection',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
INSERT INTO "trial_params" VALUES(22,7,'learning_rate',2.42717051013743578824e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 0.8, "log": true}}');
INSERT INTO "trial_params" VALUES(23,7,'n_layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 6}}');
INSERT INTO "trial_params" VALUES(24,7,'layer_selection',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["First", "EvenlySpaced"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'constraints:HasAns_exact_minimum','-37.0');
INSERT INTO "trial_system_attributes" VALUES(2,1,'constraints:NoAns_exact_minimum','-57.0');
INSERT INTO "trial_system_attributes" VALUES(3,1,'constraints:ended_early','0.0');
INSERT INTO "trial_system_attributes" VALUES(4,1,'constraints:exact_minimum','-12.0');
INSERT INTO "trial_system_attributes" VALUES(5,2,'constraints:HasAns_exact_minimum','20.0');
INSERT INTO "trial_system_attributes" VALUES(6,2,'constraints:NoAns_exact_minimum','10.0');
INSERT INTO "trial_system_attributes" VALUES(7,2,'constraints:ended_early','1.0');
INSERT INTO "trial_system_attributes" VALUES(8,2,'constraints:exact_minimum','50.0');
INSERT INTO "trial_system_attributes" VALUES(9,3,'constraints:HasAns_exact_minimum','20.0');
INSERT INTO "trial_system_attributes" VALUES(10,3,'constraints:NoAns_exact_minimum','10.0');
INSERT INTO "trial_system_attributes" VALUES(11,3,'constraints:ended_early','1.0');
INSERT INTO "trial_system_attributes" VALUES(12,3,'constraints:exact_minimum','19.0');
INSERT INTO "trial_system_attributes" VALUES(13,6,'constraints:HasAns_exact_minimum','-32.0');
INSERT INTO "trial_system_attributes" VALUES(14,6,'constraints:NoAns_exact_minimum','-52.0');
INSERT INTO "trial_system_attributes" VALUES(15,6,'constraints:ended_early','0.0');
INSERT INTO "trial_system_attributes" VALUES(16,6,'constraints:exact_minimum','-7.0');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "n_layers": 6, "layer_selection": "First", "dropout": 0.3, "learning_rate": 0.1}, "baseline": "deep", "started": 1010.0, "parameter_count": 779906}');
INSERT INTO "trial_user_attributes" VALUES(2,2,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.02713659126825075, "n_layers": 3, "layer_selection": "EvenlySpaced"}, "baseline": null, "started": 1010.0, "parameter_count": 444386}');
INSERT INTO "trial_user_attributes" VALUES(3,3,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "baseline": null, "started": 1010.0, "parameter_count": 220706}');
INSERT INTO "trial_user_attributes" VALUES(4,4,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.08115733735895435, "n_layers": 5, "layer_selection": "First", "dropout": 0.1}, "baseline": null, "started": 1010.0, "parameter_count": 668066}');
INSERT INTO "trial_user_attributes" VALUES(5,5,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.7258932928300202, "n_layers": 4, "layer_selection": "EvenlySpaced", "dropout": 0.2}, "baseline": null, "started": 1010.0, "parameter_count": 556226}');
INSERT INTO "trial_user_attributes" VALUES(6,6,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.015691665619004938, "n_layers": 2, "layer_selection": "First"}, "baseline": null, "started": 1010.0, "parameter_count": 332546}');
INSERT INTO "trial_user_attributes" VALUES(7,1,'curve','[{"step": 10, "metrics": {"exact": 40.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 55.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}, {"step": 40, "metrics": {"exact": 62.0, "HasAns_exact": 57.0, "NoAns_exact": 67.0}, "losses": {}, "steps": 40, "at": 1100.0}]');
INSERT INTO "trial_user_attributes" VALUES(8,3,'curve','[{"step": 10, "metrics": {"exact": 30.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 31.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}]');
INSERT INTO "trial_user_attributes" VALUES(9,5,'curve','[{"step": 10, "metrics": {"exact": 45.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 47.0}, "losses": {"total": NaN}, "steps": 40, "at": 1002.0}]');
INSERT INTO "trial_user_attributes" VALUES(10,6,'curve','[{"step": 10, "metrics": {"exact": 50.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}]');
INSERT INTO "trial_user_attributes" VALUES(11,1,'ending','{"state": "Completed", "reason": "Completed", "message": "measured", "expected": {}, "metrics": {"exact": 62.0, "HasAns_exact": 57.0, "NoAns_exact": 67.0, "parameter_count": 779906.0}, "source": "TerminationMessage", "seconds": 40.5, "gpus": 0.5, "model": "trials/00000/model", "ended": 1100.0}');
INSERT INTO "trial_user_attributes" VALUES(12,2,'ending','{"state": "Infeasible", "reason": "OutOfMemory", "message": "the GPU''s memory is too small", "expected": {}, "metrics": {"parameter_count": 444386.0}, "source": "TerminationMessage", "seconds": 3.0, "gpus": 0.5, "model": null, "ended": 1101.0}');
INSERT INTO "trial_user_attributes" VALUES(13,3,'ending','{"state": "Stopped", "reason": "CannotImprove", "message": "it is beaten", "expected": {"exact": 35.0}, "metrics": {"exact": 31.0, "parameter_count": 220706.0}, "source": "Scrape", "seconds": 12.0, "gpus": 0.5, "model": null, "ended": 1102.0}');
INSERT INTO "trial_user_attributes" VALUES(14,4,'ending','{"state": "Failed", "reason": "MetricsUnavailable", "message": "the trial ended without final metrics", "expected": {}, "metrics": {"parameter_count": 668066.0}, "source": "", "seconds": 9.0, "gpus": 0.5, "model": null, "ended": 1103.0}');
INSERT INTO "trial_user_attributes" VALUES(15,6,'ending','{"state": "Completed", "reason": "Completed", "message": "measured", "expected": {}, "metrics": {"exact": 57.0, "HasAns_exact": 52.0, "NoAns_exact": 62.0, "parameter_count": 332546.0}, "source": "TerminationMessage", "seconds": 33.0, "gpus": 0.5, "model": "trials/00005/model", "ended": 1104.0}');
INSERT INTO "trial_user_attributes" VALUES(16,7,'suggestion','{"parameters": {"temperature": 2, "epochs": 2, "learning_rate": 0.24271705101374358, "n_layers": 1, "layer_selection": "EvenlySpaced"}, "continues": 2, "started": 1110.0, "parameter_count": 220706}');
INSERT INTO "trial_user_attributes" VALUES(17,7,'curve','[{"step": 10, "metrics": {"exact": 30.0}, "losses": {"total": 2.0}, "steps": 40, "at": 1001.0}, {"step": 20, "metrics": {"exact": 31.0}, "losses": {"total": 1.0}, "steps": 40, "at": 1002.0}]');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,62.0,'FINITE');
INSERT INTO "trial_values" VALUES(2,1,1,779906.0,'FINITE');
INSERT INTO "trial_values" VALUES(3,2,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(4,2,1,444386.0,'FINITE');
INSERT INTO "trial_values" VALUES(5,3,0,31.0,'FINITE');
INSERT INTO "trial_values" VALUES(6,3,1,220706.0,'FINITE');
INSERT INTO "trial_values" VALUES(7,6,0,57.0,'FINITE');
INSERT INTO "trial_values" VALUES(8,6,1,332546.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','1970-01-01 00:16:50.000000','1970-01-01 00:18:20.000000');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','1970-01-01 00:16:50.000000','1970-01-01 00:18:21.000000');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','1970-01-01 00:16:50.000000','1970-01-01 00:18:22.000000');
INSERT INTO "trials" VALUES(4,3,1,'FAIL','1970-01-01 00:16:50.000000','1970-01-01 00:18:23.000000');
INSERT INTO "trials" VALUES(5,4,1,'RUNNING','1970-01-01 00:16:50.000000',NULL);
INSERT INTO "trials" VALUES(6,5,1,'COMPLETE','1970-01-01 00:16:50.000000','1970-01-01 00:18:24.000000');
INSERT INTO "trials" VALUES(7,6,1,'RUNNING','1970-01-01 00:18:30.000000',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
